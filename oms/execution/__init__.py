"""How orders are worked: builders of order decisions, prices, and the one place market orders come from."""
