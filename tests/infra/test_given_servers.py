"""Claim: on a PostgreSQL that was given, another installation's databases and passwords are left as they are.

Oracle: the real server, asked with another password than its databases were made with. Cannot catch: two
installations that were given the same secrets.
"""

from dataclasses import replace

import psycopg
import pytest

from infra.local import databases
from infra.local.failures import StepError
from shared.environment import Environment


def test_databases_of_another_installation_are_left_alone(servers: Environment) -> None:
    url = servers.command_database_url
    stranger = replace(
        servers, own_postgres=False, command_database_url=url.replace(servers.secrets["command_password"], "other")
    )
    with pytest.raises(StepError, match="another installation"):
        databases.create(stranger)
    psycopg.connect(url).close()
    databases.create(replace(servers, own_postgres=False))
