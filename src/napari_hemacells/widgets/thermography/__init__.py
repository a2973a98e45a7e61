"""Thermograms in the dock: panel, layers, temperatures in the status bar."""
