"""`manage.py seed_demo`: the demo's data set on any empty database but production's."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from amp.demo.seeding import SeedRefused, seed
from amp.foundation import clock


class Command(BaseCommand):
    """Makes enterprises, products, devices and 14 months of history through the product's services."""

    help = "Fill an empty database with the demo's data. Refused in production and on a database in use."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`--json` prints ids, logins, MQTT credentials and renewal links, which can't be read again later."""
        parser.add_argument("--json", action="store_true", help="print everything that was made, secrets included")

    def handle(self, *args: Any, **options: Any) -> None:
        """Seed, and say what there is."""
        try:
            seeded = seed(now=clock.now(), wall=clock.wall())
        except SeedRefused as refused:
            raise CommandError(str(refused)) from None
        if options["json"]:
            self.stdout.write(json.dumps(seeded.as_json(), indent=2))
        else:
            self.stdout.write(f"Made {len(seeded.devices)} devices of {len(seeded.products)} products.")
