# The service's images. Targets: cpu (what is built if none is named), cuda, and each with the models of
# this checkout inside. BuildKit builds only what the target needs.
#
#   docker build -f docker/service.Dockerfile --target cpu -t sightline:cpu .

FROM python:3.12-slim AS uv
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

FROM uv AS cpu-environment
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-dev --no-install-project --extra cpu --extra otel
COPY service service
COPY training training
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-dev --no-editable --extra cpu --extra otel

FROM uv AS cuda-environment
# CUDA and cuDNN are wheels that onnxruntime-gpu depends on; the host brings only its driver.
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-dev --no-install-project --extra gpu --extra otel
COPY service service
COPY training training
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-dev --no-editable --extra gpu --extra otel

FROM python:3.12-slim AS runtime
RUN groupadd --gid 10001 sightline \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp \
        --shell /usr/sbin/nologin sightline
# A home in memory for what insists on one.
ENV PATH=/opt/sightline/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SIGHTLINE_HOST=0.0.0.0 \
    SIGHTLINE_PORT=8000 \
    SIGHTLINE_MODELS=/models
LABEL org.opencontainers.image.title="Sightline" \
    org.opencontainers.image.licenses="Apache-2.0"
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=10s --start-period=600s --start-interval=1s --retries=3 \
    CMD ["python", "-m", "service.probe"]
ENTRYPOINT ["sightline"]
CMD ["serve"]

FROM runtime AS cuda
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    SIGHTLINE_DEVICE=cuda
COPY --from=cuda-environment /opt/sightline /opt/sightline

FROM cuda AS cuda-with-models
COPY models /models

FROM runtime AS cpu-with-models
COPY --from=cpu-environment /opt/sightline /opt/sightline
COPY models /models

FROM runtime AS cpu
COPY --from=cpu-environment /opt/sightline /opt/sightline
