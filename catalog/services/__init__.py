"""Use cases of the catalogue: `products` (with thing models), `rules`, `plans`."""
