"""Thermograms in the dock: panel, controller and status bar."""
