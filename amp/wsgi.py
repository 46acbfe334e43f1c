"""WSGI entry point: `gunicorn amp.wsgi`. AMP_MODE must be set; there is no default for a server."""

import os

import gunicorn.http.wsgi
from django.core.wsgi import get_wsgi_application
from django.db import connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "amp.settings")
application = get_wsgi_application()

from amp.starting import refuse_weak_database  # noqa: E402
from amp.tuning import settle  # noqa: E402 (models exist only now)

refuse_weak_database()
connections.close_all()  # gunicorn forks its workers from here, and no two may speak on one connection
settle()
gunicorn.http.wsgi.SERVER = "AMP"  # which server answers is nobody's business (F97)
