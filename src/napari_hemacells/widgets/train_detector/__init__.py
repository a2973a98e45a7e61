"""Fine-tuning of the detector: panel and controller."""
