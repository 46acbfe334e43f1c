"""Input shapes of billing: what finance chooses and uploads, and files of device keys to renew."""
