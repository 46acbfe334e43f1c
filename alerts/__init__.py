"""Who is told: expiry notices, alert rules, channels and webhooks.

It reads events that the other apps record and never is called by them. It will own notices per service, end and
threshold (N1–N9), the channels they go out on and the delivery of webhooks.
"""
