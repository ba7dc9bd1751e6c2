"""Days again: imports of market data, rebuilding, verification, time travel, what-if."""
