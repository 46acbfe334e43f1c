"""Input shapes of devices: `registration` by form and by CSV file."""
