"""Training of a siamese network: panel and controller."""
