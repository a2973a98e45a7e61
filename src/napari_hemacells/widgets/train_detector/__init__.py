"""Fine-tuning the detector: panel and controller."""
