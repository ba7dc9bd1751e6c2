"""One file per revision, in the order of its number."""
