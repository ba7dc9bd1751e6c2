"""Brokers: commands out, inputs in, declared capabilities. One file per broker; siblings never meet."""
