"""Django's settings for the command API; addresses and secrets come from shared.environment, nothing else does."""

from typing import Any
from urllib.parse import unquote, urlsplit

from shared.environment import environment

ENVIRONMENT = environment()
STATEMENT_SECONDS_MAX = 20
LOCK_SECONDS_MAX = 5


def database(url: str) -> dict[str, Any]:
    """A PostgreSQL address as Django wants it, with connections that outlive a request."""
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or 5432),
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": 5,
            "prepare_threshold": 3,
            "options": f"-c statement_timeout={STATEMENT_SECONDS_MAX}s -c lock_timeout={LOCK_SECONDS_MAX}s",
        },
    }


# The vault and the guards both have a table `account`, in databases of their own.
SILENCED_SYSTEM_CHECKS = ["models.W035", "security.W003", "security.W005", "security.W021"]
SECRET_KEY = ENVIRONMENT.secrets["django_secret"]
DEBUG = ENVIRONMENT.debug
ALLOWED_HOSTS = list(ENVIRONMENT.allowed_hosts)
ROOT_URLCONF = "command_api.urls"
WSGI_APPLICATION = "command_api.wsgi.application"
APPEND_SLASH = False
USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576
SECURE_CONTENT_TYPE_NOSNIFF = True

# The gateway says whether a client came by https. Behind one that serves nothing else, http is redirected and browsers
# remember it; what asks a process directly, on its own port, is not sent away. The domain's other hosts are not ours to
# decide about (W005, W021), and no cookie ever authenticates, so that there is nothing to forge a request with (W003).
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = ENVIRONMENT.https_only
SECURE_REDIRECT_EXEMPT = [r"^(?:healthz|readyz|metrics)$"]
SECURE_HSTS_SECONDS = 31_536_000 if ENVIRONMENT.https_only else 0
X_FRAME_OPTIONS = "DENY"

INSTALLED_APPS = [
    "command_api.accounts",
    "command_api.posts",
    "command_api.relationships",
    "command_api.reactions",
    "command_api.notifications",
    "command_api.event_log",
    "command_api.vault",
    "drf_spectacular",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

DATABASES = {
    "default": database(ENVIRONMENT.command_database_url),
    "vault": database(ENVIRONMENT.vault_database_url),
}
DATABASE_ROUTERS = ["command_api.vault.router.VaultRouter"]

PASSWORD_HASHERS = ["command_api.accounts.passwords.Argon2id"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["command_api.web.authentication.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["command_api.web.authentication.SignedIn"],
    "DEFAULT_PARSER_CLASSES": ["command_api.web.parsing.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["command_api.web.rendering.ORJSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "command_api.web.rendering.JSONAlways",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "command_api.web.problems.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Rookery command API",
    "DESCRIPTION": "Validates writes and appends events to the log.",
    "VERSION": "0.1.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PUBLIC": True,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": [],
    "COMPONENT_SPLIT_REQUEST": True,
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    # Refusals are answers, not warnings; unexpected errors are logged by the exception handler.
    "loggers": {"django.request": {"level": "CRITICAL"}, "command_api": {"level": "INFO"}},
}
