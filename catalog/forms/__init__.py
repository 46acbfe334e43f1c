"""Input shapes of the catalogue: `products` (with thing models), `plans`, `rules`; `widgets` for what Django lacks."""
