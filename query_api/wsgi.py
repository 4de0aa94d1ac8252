"""The query API for gunicorn: `gunicorn --worker-class gthread query_api.wsgi:application`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "query_api.settings")
application = get_wsgi_application()
