"""A folder of pictures of one cell each: opened, kept up to date, its classes taken over."""
