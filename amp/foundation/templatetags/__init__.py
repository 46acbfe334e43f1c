"""Template tags of the product: how states, money and moments look on every page. Knows no table."""
