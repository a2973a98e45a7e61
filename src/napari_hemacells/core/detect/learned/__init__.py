"""The detector network: its description, inference, post-processing, point prompts."""
