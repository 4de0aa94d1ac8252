# The gateway: nginx, by the same template as without Docker.
FROM python:3.11.14-slim-bookworm AS packages
WORKDIR /build
COPY requirements.lock pyproject.toml infra/docker/runtime_lock.py ./
RUN python runtime_lock.py >runtime.lock \
 && python -m venv /opt/rookery \
 && /opt/rookery/bin/pip install --no-cache-dir --no-deps --require-hashes -r runtime.lock

FROM packages AS configuration
WORKDIR /srv/rookery
COPY schemas schemas
COPY shared shared
COPY infra infra
RUN /opt/rookery/bin/python -m infra.docker.gateway >/nginx.conf

FROM nginx:1.29.3
COPY --from=configuration /nginx.conf /etc/nginx/nginx.conf
USER nginx
EXPOSE 7400
ENTRYPOINT []
CMD ["nginx", "-e", "stderr", "-p", "/tmp", "-c", "/etc/nginx/nginx.conf"]
