"""Settings of the query API: no models, no sessions; what it reads comes by SQL under a role that can only SELECT."""

from shared.environment import environment

_environment = environment()

SECRET_KEY = _environment.secrets["django_secret"] or "reads-sign-with-the-token-secret-instead"
DEBUG = _environment.debug
ALLOWED_HOSTS = list(_environment.allowed_hosts)
ROOT_URLCONF = "query_api.urls"
WSGI_APPLICATION = "query_api.wsgi.application"
ASGI_APPLICATION = "query_api.asgi.application"
INSTALLED_APPS = ["rest_framework", "drf_spectacular", "channels"]
DATABASES: dict[str, dict[str, str]] = {}
USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False
APPEND_SLASH = False
DEFAULT_CHARSET = "utf-8"

MIDDLEWARE = [
    "query_api.answers.AnswerHeaders",
    "django.middleware.security.SecurityMiddleware",
    "query_api.answers.NotModified",
]
SECURE_CONTENT_TYPE_NOSNIFF = True

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "query_api.notifications.hints.HintLayer",
        "CONFIG": {
            # Channels waits for messages in a Redis call that blocks for 5 seconds, just when redis-py 8 by itself
            # gives up on an answer: every idle connection ended. With any timeout it also sends by asyncio.wait_for,
            # which on Python 3.11 swallows a cancellation at that moment: connections' tasks stayed for ever.
            "hosts": [{"address": _environment.redis_url, "socket_timeout": None, "socket_keepalive": True}],
            "prefix": "rookery:channels",
        },
    }
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["query_api.answers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": [],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "query_api.problems.problem_response",
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Rookery query API",
    "DESCRIPTION": "Reads of a social feed. Writes, and what they answer, are the command API's.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "APPEND_COMPONENTS": {
        "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "filters": {"without_query": {"()": "query_api.ops.logs.WithoutQuery"}},
    "loggers": {
        "django.request": {
            "level": "CRITICAL"
        },  # refusals are answers, and what is unexpected is logged by problems.py
        "uvicorn.error": {"filters": ["without_query"]},
    },
}
