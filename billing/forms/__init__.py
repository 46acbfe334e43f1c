"""Input shapes of billing: what staff choose and upload, and what they type about money."""
