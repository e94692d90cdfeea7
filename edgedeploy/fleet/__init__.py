"""Many boards at once: which are begun when, what became of each, and when to stop. Knows no connection."""
