"""The roof of AMP: what puts the apps together and runs them.

It owns settings, URLs, the admin site and its navigation, the pages that several apps share (dashboard, public device
page), health, the Celery app with its schedule, the demo and the bridge command. It may import every app; no app
imports it. `amp.foundation` below is the opposite end: everything stands on it and it imports none of ours.
"""
