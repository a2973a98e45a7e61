"""Background tasks of the dock and the workers that run them."""
