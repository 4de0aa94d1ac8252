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
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "query_api.answers.NotModified",
]
SECURE_CONTENT_TYPE_NOSNIFF = True

# The gateway says whether a client came by https. Behind one that serves nothing else, http is redirected and browsers
# remember it; what asks a process directly, on its own port, is not sent away. The domain's other hosts are not ours to
# decide about (W005, W021), and no cookie ever authenticates, so that there is nothing to forge a request with (W003).
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = _environment.https_only
SECURE_REDIRECT_EXEMPT = [r"^(?:healthz|readyz|metrics)$"]
SECURE_HSTS_SECONDS = 31_536_000 if _environment.https_only else 0
X_FRAME_OPTIONS = "DENY"
SILENCED_SYSTEM_CHECKS = ["security.W003", "security.W005", "security.W021"]

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
