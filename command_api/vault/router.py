"""Keeps the vault's tables in the vault's database, and everything else out of it."""

from typing import Any

VAULT = "vault"


class VaultRouter:
    """Django's database router: the app named vault has a database of its own."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return self._database(model._meta.app_label)

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return self._database(model._meta.app_label)

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return self._database(app_label) == db

    def _database(self, app_label: str) -> str:
        return VAULT if app_label == VAULT else "default"
