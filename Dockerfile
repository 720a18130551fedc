# facewatch in a container: not root, photos read-only, no network.
#
#   docker build -t facewatch .
#   compose.yaml says how it is run, and why folders keep their own paths in there.

ARG PYTHON=3.12.11-slim-bookworm

# --- the packages, as scripts/setup installs them everywhere: pinned, with hashes, without a compiler ---

FROM python:${PYTHON} AS packages
WORKDIR /opt/facewatch
COPY scripts/setup scripts/setup
COPY requirements.lock ./
ENV PIP_NO_CACHE_DIR=1
RUN FACEWATCH_PYTHON=python3 scripts/setup requirements.lock \
 && .venv/bin/python -m pip --quiet uninstall --yes pip \
 && rm -f .venv.lock
COPY facewatch facewatch
# The file system will be read-only: what Python would compile at the first start is compiled now.
RUN mkdir bin \
 && printf '%s\n' '#!/bin/sh' 'exec /opt/facewatch/.venv/bin/python -P -m facewatch "$@"' > bin/facewatch \
 && chmod 755 bin/facewatch \
 && .venv/bin/python -m compileall -q facewatch \
 && bin/facewatch --version

# --- what is shipped ---

FROM python:${PYTHON}
COPY --from=packages /opt/facewatch /opt/facewatch

# Catalog, backups, settings and models: one place to keep. Whoever the container runs as may make folders in it
# (`user:` in compose.yaml); the catalog in there is readable by its owner only.
RUN useradd --uid 1000 --user-group --home-dir /data --no-create-home --shell /usr/sbin/nologin facewatch \
 && install --directory --mode=1777 /data \
 && install --directory --mode=755 /photos \
 && install --directory --owner=1000 --group=1000 /people

ENV PATH=/opt/facewatch/bin:$PATH \
    HOME=/data \
    XDG_DATA_HOME=/data \
    XDG_CONFIG_HOME=/data/settings \
    XDG_CACHE_HOME=/data/cache \
    FACEWATCH_MODELS=/data/models \
    FACEWATCH_CALLED_AS=facewatch \
    PYTHONDONTWRITEBYTECODE=1

USER 1000:1000
WORKDIR /data
VOLUME ["/data"]

# A first look at a large library takes a while; a watcher that is busy says so, and is healthy.
HEALTHCHECK --interval=1m --timeout=30s --start-period=5m --retries=3 CMD ["facewatch", "status", "--check"]

STOPSIGNAL SIGTERM
ENTRYPOINT ["facewatch"]

# For folders mounted there. Links then lead from /people to /photos, which outside are elsewhere: compose.yaml keeps the
# paths that they have outside, so that links open on both sides.
CMD ["watch", "/photos", "--people", "/people"]
