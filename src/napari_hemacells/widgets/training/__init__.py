"""Shared by all trainings in the dock: runner, learning curves, section and steps."""
