# What runs before the processes do (secrets, roles, databases, migrations, topics, schemas, projections), and doctor.
FROM python:3.11.14-slim-bookworm AS packages
WORKDIR /build
COPY requirements.lock pyproject.toml infra/docker/runtime_lock.py ./
RUN python runtime_lock.py >runtime.lock \
 && python -m venv /opt/rookery \
 && /opt/rookery/bin/pip install --no-cache-dir --no-deps --require-hashes -r runtime.lock

FROM python:3.11.14-slim-bookworm
ENV PATH=/opt/rookery/bin:$PATH PYTHONUNBUFFERED=1 PYTHONFAULTHANDLER=1 PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp
WORKDIR /srv/rookery
RUN install -d -o 10001 -g 0 -m 0770 var var/log var/run var/secrets share/command share/projector share/query share/postgres \
    share/purger share/monitor share/redis share/registry
COPY --from=packages /opt/rookery /opt/rookery
COPY schemas schemas
COPY shared shared
COPY command_api command_api
COPY projectors projectors
COPY query_api query_api
COPY infra infra
RUN python -m compileall -q .
USER 10001:10001
ENTRYPOINT ["python", "-m", "infra.docker.entry"]
CMD ["python", "-m", "infra.docker.prepare"]
