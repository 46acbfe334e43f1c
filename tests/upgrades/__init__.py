"""The step from the release before to this one (X8); a dump of its demo data is what the step starts from."""
