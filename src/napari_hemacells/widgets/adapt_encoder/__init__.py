"""Adaptation of the encoder to unlabelled cells: panel and controller."""
