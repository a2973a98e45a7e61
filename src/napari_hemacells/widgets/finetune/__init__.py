"""Fine-tuning of the classifier: form, training run and results."""
