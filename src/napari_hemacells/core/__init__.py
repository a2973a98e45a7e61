"""The science: no Qt, no napari below this line; usable as a library."""
