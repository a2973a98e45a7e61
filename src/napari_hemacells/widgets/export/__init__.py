"""Export of results: panel and steps."""
