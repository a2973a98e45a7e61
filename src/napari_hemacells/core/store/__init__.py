"""Project folder, model bundle, exports, report."""
