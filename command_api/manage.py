"""Django's administrative commands for the command API: python -m command_api.manage migrate --database vault"""

import os
import sys

from django.core.management import execute_from_command_line


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "command_api.settings.base")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
