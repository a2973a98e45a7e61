"""The gallery of crops, the review queue and the map of embeddings."""
