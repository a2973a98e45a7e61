"""Fine-tuning a classifier: form, run, results."""
