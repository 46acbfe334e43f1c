"""Use cases of the alerts: finding notices that fell due, and sending them on each channel."""
