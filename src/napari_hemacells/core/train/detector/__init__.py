"""Fine-tuning the learned detector on corrected fields.

Importing this package does not import torch; the job that the child process runs does.
"""
