# The query API: reads.
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
COPY query_api query_api
COPY infra/__init__.py infra/__init__.py
COPY infra/docker infra/docker
RUN python -m compileall -q .
USER 10001:10001
EXPOSE 7402
ENTRYPOINT ["python", "-m", "infra.docker.entry"]
CMD ["python", "-m", "gunicorn", "query_api.wsgi:application", "--worker-class", "gthread", "--workers", "2", "--threads", "8", "--bind", "0.0.0.0:7402", "--keep-alive", "75", "--graceful-timeout", "5", "--log-level", "warning", "--no-control-socket", "--config", "python:query_api.serving"]
