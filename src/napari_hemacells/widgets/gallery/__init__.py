"""The gallery of crops, its review queue, and the embedding map."""
