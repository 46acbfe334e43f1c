"""WSGI entry point: `gunicorn amp.wsgi`. AMP_MODE must be set; there is no default for a server."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "amp.settings")
application = get_wsgi_application()
