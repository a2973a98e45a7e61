"""Detecting cells and correcting them: panel, controller, tools of the canvas."""
