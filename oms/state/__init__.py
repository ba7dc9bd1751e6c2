"""State: the fold of the log. Every value here is immutable; folding returns new values."""
