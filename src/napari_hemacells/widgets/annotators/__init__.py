"""Several annotators' points in the dock: load, see, agree, take over."""
