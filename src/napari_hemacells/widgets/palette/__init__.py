"""The classes: names, colours, keys."""
