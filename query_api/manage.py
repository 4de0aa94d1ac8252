"""Django's administrative commands for the query API: python -m query_api.manage check --deploy"""

import os
import sys

from django.core.management import execute_from_command_line


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "query_api.settings")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
