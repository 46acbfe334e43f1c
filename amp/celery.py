"""The Celery app: how rows of work are woken. The rows themselves live in the database (R5)."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "amp.settings")
app = Celery("amp")
app.set_default()  # web servers run threads: without this, `current_app` is ours in the importing thread only
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
