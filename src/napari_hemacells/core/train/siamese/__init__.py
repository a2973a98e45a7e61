"""Siamese networks: a distance between cells that also holds for kinds that were not annotated.

Importing this package does not import torch; what runs in the child process does.
"""
