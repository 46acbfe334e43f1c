"""Django app of the roof: management commands, templates and the wiring between apps."""

from django.apps import AppConfig, apps
from django.conf import settings
from django.contrib.admin import apps as admin_apps
from django.db.models.signals import post_migrate


class AmpConfig(AppConfig):
    """The roof has no models; it is installed for its commands and its schedule."""

    name = "amp"
    verbose_name = "AMP"

    def ready(self) -> None:
        """Every process wakes workers through our Celery app; after migrations the schedule has its default rows."""
        import amp.celery  # noqa: F401 (importing it makes it the current app)
        from amp.observing import count_publishes
        from amp.schedule import make_schedule
        from amp.sentry import start_sentry
        from devices.services.published import published

        start_sentry(settings.SENTRY_DSN, settings.AMP_MODE)
        published.connect(count_publishes, dispatch_uid="amp.observing")
        post_migrate.connect(
            make_schedule, sender=apps.get_app_config("django_celery_beat"), dispatch_uid="amp.schedule"
        )


class AmpAdminConfig(admin_apps.AdminConfig):
    """Django's admin with our site in the place of its own."""

    default = False
    default_site = "amp.admin.AmpAdminSite"
