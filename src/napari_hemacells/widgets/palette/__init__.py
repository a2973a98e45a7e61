"""The class palette: names, colours and keys of the classes."""
