"""What all trainings in the dock share: runner, curves, section."""
