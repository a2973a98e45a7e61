"""The learned detector: a small network that finds red cells, white cells and platelets."""
