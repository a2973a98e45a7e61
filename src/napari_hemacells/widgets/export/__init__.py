"""Exports: panel and controller."""
