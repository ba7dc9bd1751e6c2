"""The deterministic simulator: one seed gives whole trading days with faults against an independent broker."""
