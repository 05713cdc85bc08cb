# The training kit: every recipe of `sightline-train`, on CPUs and on NVIDIA GPUs.
#
#   docker build -f docker/training.Dockerfile -t sightline-training .
#   docker run --rm --gpus all --user "$(id -u):$(id -g)" -v "$PWD:/work" sightline-training \
#       classify --data my_photos --name pets

FROM python:3.12-slim AS environment
# Behind a mirror of PyPI: --build-arg PIP_INDEX_URL=... --build-arg UV_DEFAULT_INDEX=...
ARG PIP_INDEX_URL
ARG UV_DEFAULT_INDEX
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore uv==0.13.9
# Trusting the system's certificates lets a base image bring a company's own.
ENV UV_SYSTEM_CERTS=1 \
    UV_PROJECT_ENVIRONMENT=/opt/sightline \
    UV_PYTHON=/usr/local/bin/python3 \
    UV_PYTHON_DOWNLOADS=never \
    UV_LINK_MODE=copy \
    UV_COMPILE_BYTECODE=1
WORKDIR /src
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-dev --no-install-project --extra cpu --extra train
COPY service service
COPY training training
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-dev --no-editable --extra cpu --extra train

FROM python:3.12-slim
# A recipe reads and writes under /work; what it downloads and caches goes to /cache. Any user may.
RUN groupadd --gid 10001 sightline \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /cache \
        --shell /usr/sbin/nologin sightline \
    && install --directory --mode=1777 /work /cache
ENV PATH=/opt/sightline/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOME=/cache \
    SIGHTLINE_CACHE=/cache/sightline \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
LABEL org.opencontainers.image.title="Sightline training kit" \
    org.opencontainers.image.licenses="Apache-2.0"
COPY --from=environment /opt/sightline /opt/sightline
USER 10001:10001
VOLUME /cache
WORKDIR /work
ENTRYPOINT ["sightline-train"]
CMD ["--help"]
