"""The Celery app: how rows of work are woken. The rows themselves live in the database (R5)."""

import os

from celery import Celery
from celery.signals import beat_init, worker_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "amp.settings")
app = Celery("amp")
app.set_default()  # web servers run threads: without this, `current_app` is ours in the importing thread only
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
@beat_init.connect
def look_at_the_database(**_: object) -> None:
    """A worker does not start on a weak database either (X9). Celery logs exceptions of receivers and goes on."""
    from django.core.exceptions import ImproperlyConfigured

    from amp.starting import refuse_weak_database

    try:
        refuse_weak_database()
    except ImproperlyConfigured as weak:
        raise SystemExit(str(weak)) from weak
