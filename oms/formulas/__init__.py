"""Pure arithmetic of the trade: indicators, risk, costs, returns. Decimal in, Decimal out; every function is total."""
