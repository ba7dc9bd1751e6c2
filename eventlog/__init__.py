"""An append-only event log on PostgreSQL: it knows no orders, only steps, order and proof."""
