# The monitor: tells how far the projections are.
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
RUN install -d -o 10001 -g 0 -m 0770 var var/secrets
COPY --from=packages /opt/rookery /opt/rookery
COPY schemas schemas
COPY shared shared
COPY projectors projectors
COPY infra/__init__.py infra/__init__.py
COPY infra/docker infra/docker
COPY infra/monitor infra/monitor
RUN python -m compileall -q .
USER 10001:10001
EXPOSE 7407
ENTRYPOINT ["python", "-m", "infra.docker.entry"]
CMD ["python", "-m", "infra.monitor.serve", "--bind", "0.0.0.0:7407"]
