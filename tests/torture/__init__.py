"""Kill and restart the real thing: writer, PostgreSQL, and a broker process that keeps its own book."""
