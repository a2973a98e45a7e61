"""Detection without a network: stain separation, thresholds, touching cells split."""
