"""Who is told: expiry notices, the channels they go out on; alert rules and webhooks.

It reads the ends of services and the events that the other apps record, and never is called by them. It owns a notice
per service, end, threshold and channel (N1–N9), and how far ends have been looked at.
"""
