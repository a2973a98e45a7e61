"""Adapting the encoder to unlabelled cells: the panel and its training run."""
