"""Few-shot classification: panel, controller, calibration, choice of encoder."""
