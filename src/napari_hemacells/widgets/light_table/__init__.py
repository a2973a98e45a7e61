"""The light table: a bin for each class, into which pictures of cells are dragged."""
