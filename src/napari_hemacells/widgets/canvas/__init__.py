"""The viewer: layers, colours, mouse and keys."""
