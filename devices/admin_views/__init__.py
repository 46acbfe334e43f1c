"""Pages of devices: `rules` (Device Service), `registration`, `details`, `actions`; `words` for the story."""
