"""What `rookery up` does between its servers and its processes; it may be repeated, and each step says what it did.

python -m infra.docker.prepare
"""

import asyncio

from infra.local import databases, migrations, topics
from projectors.catalogue import PROJECTIONS
from projectors.runtime.prepare import prepare
from schemas import registration
from shared.environment import environment


def main() -> None:
    env = environment()
    databases.create(env)
    print("databases and roles", flush=True)
    migrations.main()
    print("migrations", flush=True)
    asyncio.run(prepare(env, PROJECTIONS))
    print("projections", flush=True)
    print(f"topics: {', '.join(topics.create(env)) or 'all there'}", flush=True)
    print(f"schemas: {len(registration.register(env.schema_registry_url))}", flush=True)


if __name__ == "__main__":
    main()
