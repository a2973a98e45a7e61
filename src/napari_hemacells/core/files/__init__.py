"""Reading and writing files that others made or may be writing too: whole, bounded, no links."""
