"""Detection without a network: stain separation, thresholds, splitting of touching cells."""
