"""The canvas: layers, colours, mouse and keys in the viewer."""
