"""Files that nobody should have written: each is one line, at once, whatever reads it."""
