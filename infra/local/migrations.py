"""Brings both databases of the command API to their newest shape, in one process, since most of it is loading Django.

python -m infra.local.migrations
"""

import os

DATABASES = ("default", "vault")


def main() -> None:
    import django
    from django.core.management import call_command

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "command_api.settings.base")
    django.setup()
    for database in DATABASES:
        call_command("migrate", database=database, interactive=False, verbosity=0)


if __name__ == "__main__":
    main()
