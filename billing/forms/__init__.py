"""Input shapes of billing: what finance chooses and uploads."""
