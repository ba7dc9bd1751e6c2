"""Invariants as views that must be empty; their schema is `oms_check`."""
