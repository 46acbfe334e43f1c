"""Pages of billing: `renewing` (choose a plan, order), `orders` (pay, follow, cancel; payments behind them)."""
