#!/usr/bin/env python
"""Command line of AMP: `manage.py demo`, `manage.py bridge`, `manage.py audit` and Django's own commands."""

import os
import sys


def main() -> None:
    """Run one management command; without AMP_MODE the command line works on the demo."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "amp.settings")
    os.environ.setdefault("AMP_MODE", "demo")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
