"""Comparing cells: two side by side, all in the order of their likeness, the odd ones."""
