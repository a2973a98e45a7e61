"""Breast thermograms: regions and what they measure, studies of patients, exports."""
