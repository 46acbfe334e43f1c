"""`manage.py bridge`: the process that listens to the broker."""

from __future__ import annotations

import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from amp.bridge import BridgeLoop, InvalidSlot
from amp.starting import refuse_weak_database
from amp.tuning import settle


class Command(BaseCommand):
    """Runs until SIGTERM or Ctrl-C; survives losses of the broker and of the database."""

    help = "Take what devices say from the MQTT broker into the database."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--slot", help="share the work: 2/4 is the second of four bridges")

    def handle(self, *args: Any, **options: Any) -> None:
        refuse_weak_database()
        stop = threading.Event()
        try:
            loop = BridgeLoop(settings.MQTT_URL, options["slot"], stop)
        except InvalidSlot as wrong:
            raise CommandError(str(wrong)) from wrong
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        settle()
        loop.run()
