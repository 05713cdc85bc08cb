"""Every setting of the service: a field here is ``SIGHTLINE_<NAME>`` and ``--<name>``."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service.contract import Precision
from service.device import Requested
from service.images import Limits
from service.logs import LogFormat
from service.rate import Rate

_ORIGIN = re.compile(r"\*|https?://[^\s/,*]+")


def _check_origins(value: str | None) -> str | None:
    for origin in (value or "").split(","):
        if value is not None and not _ORIGIN.fullmatch(origin.strip()):
            raise ValueError(f"{origin.strip()!r} is no origin; write https://app.example or *")
    return value


def _read_rate(value: str | None) -> str | None:
    if value is not None:
        Rate.parse(value)
    return value


Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]


def _read_json(value: object) -> object:
    return json.loads(value) if isinstance(value, str) else value


# NoDecode: the variable is read by the same validator as the flag, and refused like any other.
ModelOfTask = Annotated[dict[str, str], NoDecode, BeforeValidator(_read_json)]


class Settings(BaseSettings):
    """Read from ``SIGHTLINE_*`` environment variables; flags of the same name win over them."""

    model_config = SettingsConfigDict(
        env_prefix="SIGHTLINE_",
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        allow_inf_nan=False,
    )

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for all.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    workers: Positive = Field(
        1,
        description="Processes that serve together. CPUs, queues, connections, arenas and the "
        "memory for bodies are divided among them; each has its own copy of the models.",
    )
    spare_workers: int | None = Field(
        None,
        ge=0,
        description="Processes that have loaded the models and serve once a worker ends, at the "
        "price of their memory; 1 where there are several workers, else none, if left out.",
    )
    worker_timeout_s: Seconds = Field(
        20.0, description="Seconds a worker may say nothing; past it, it is replaced."
    )
    models: Path = Field(Path("models"), description="Folder of model folders.")
    default_models: ModelOfTask = Field(
        {}, description='Model a task uses when none is named, as JSON: {"classify": "pets"}.'
    )
    watch_models: bool = Field(
        False,
        description="Load new and changed model folders while serving, once they do not change "
        "any more.",
    )
    watch_interval_s: Seconds = Field(
        2.0, description="Seconds between two looks into the models folder, if it is watched."
    )
    allow_repository_control: bool = Field(
        False,
        description="Let clients load and unload models: POST /v2/repository/models/{name}/load.",
    )
    device: Requested = Field(
        "auto", description="auto, cpu or cuda; cuda refuses to start without a working GPU."
    )
    precision: Literal["auto"] | Precision = Field(
        "auto",
        description="auto (the fastest measured here whose quality holds), fp32, fp16 or int8.",
    )
    max_quality_loss: float = Field(
        0.01, ge=0, lt=1, description="Share of any fp32 metric that auto precision may give up."
    )
    cpus: Positive | None = Field(
        None, description="CPUs to use; default: what affinity and cgroup quota allow."
    )
    slots: Positive | None = Field(
        None, description="Runs at a time and model; default: one a CPU, 2 on a GPU."
    )
    max_batch: Positive | None = Field(
        None, description="Most items in one run; default: 2 on a CPU, 32 on a GPU."
    )
    queue_size: Positive = Field(
        64, description="Items a model lets in beyond those running; past it, 429."
    )
    timeout_s: Seconds = Field(30.0, description="Deadline of a request in seconds; past it, 504.")
    body_timeout_s: Seconds = Field(
        20.0,
        description="Seconds a request body may take to arrive; past it, 408. Also what a client "
        "may take to read each 64 KiB of a large answer; past it, the connection is closed.",
    )
    run_timeout_s: Seconds = Field(
        120.0,
        description="Seconds a run of a model may take; past it, it is ended, and if it does not "
        "end the process is.",
    )
    shutdown_grace_s: Seconds = Field(
        30.0, description="Seconds requests in flight are given to finish at shutdown."
    )
    max_connections: Positive = Field(
        1000, description="Open connections; past it, 503 before anything is read."
    )
    max_head_kib: Positive = Field(
        16, description="Largest request line with its headers, in KiB; past it, 431 or 414."
    )
    head_timeout_s: Seconds = Field(
        10.0, description="Seconds a request's head may take to arrive; past it, 408."
    )
    max_body_mib: float = Field(32.0, gt=0, description="Largest body in MiB; past it, 413.")
    max_bodies_mib: Positive = Field(
        512,
        description="Most memory all request bodies and large answers together may hold, in MiB; "
        "past it, 429.",
    )
    max_files: Positive = Field(16, description="Most images in one request; past it, 413.")
    max_pixels: Positive = Field(
        50_000_000, description="Largest width x height of an image; past it, 413."
    )
    max_frames: Positive = Field(1000, description="Most frames or pages; past it, 413.")
    max_aspect: float = Field(
        50.0, ge=1, description="Largest ratio of an image's sides; past it, 413."
    )
    cpu_arena_mib: Positive = Field(
        2048,
        description="Most memory all CPU runs together may hold, in MiB. Runs of pictures of any "
        "size, as those of /stylize, share three quarters of it and wait for their part; a picture "
        "that takes more alone is 413.",
    )
    gpu_memory_mib: Positive | None = Field(
        None, description="Bound of each GPU session's arena, in MiB; default: none."
    )
    playground: bool = Field(True, description="Serve the page at / to try the service by hand.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe level that is logged."
    )
    log_format: LogFormat = Field(
        "text", description="text, or json with an object a line for a log collector."
    )
    access_log: bool = Field(True, description="Whether a line is logged for every request.")
    api_keys_file: Path | None = Field(
        None,
        description="File of hashed API keys, from `sightline keys create`; read again when it "
        "changes. Without it everybody may ask for everything.",
    )
    public_metrics: bool = Field(
        False, description="Whether /metrics can be read without a key where there are keys."
    )
    public_docs: bool = Field(
        True, description="Whether /docs and /openapi.json can be read without a key."
    )
    rate_limit: Annotated[str, AfterValidator(_read_rate)] | None = Field(
        None,
        description="Requests of one client, as 10/s, 600/m or 5000/h; past it, 429. A client is "
        "an API key without a limit of its own, or without keys an address. Default: no limit.",
    )
    cors_origins: Annotated[str, AfterValidator(_check_origins)] | None = Field(
        None,
        description="Origins whose pages may ask from a browser, separated by commas, or *. "
        "Default: none.",
    )
    canary_timeout_s: Seconds = Field(
        5.0, description="Seconds a model may take to answer the canary, /healthz/inference."
    )

    @property
    def limits(self) -> Limits:
        """The limits a picture is held against."""
        return Limits(self.max_pixels, self.max_frames, self.max_aspect)

    @property
    def spares(self) -> int:
        """Workers that are loaded and wait to serve."""
        if self.spare_workers is None:
            return int(self.workers > 1)
        return self.spare_workers

    @property
    def run_memory_bytes(self) -> int:
        """Of ``cpu_arena_mib`` what runs of any size share, in bytes.

        The rest is for weights that lie in the arena, and for runs of one size, whose memory the
        arena keeps: 470 MB for the eight models that were shipped first.
        """
        return self.cpu_arena_mib * (1 << 20) * 3 // 4

    @property
    def rate(self) -> Rate | None:
        """``rate_limit`` understood."""
        return Rate.parse(self.rate_limit) if self.rate_limit else None

    @property
    def origins(self) -> list[str]:
        """``cors_origins`` one by one."""
        return [each.strip() for each in self.cors_origins.split(",")] if self.cors_origins else []

    @property
    def max_body_bytes(self) -> int:
        """``max_body_mib`` in bytes."""
        return int(self.max_body_mib * (1 << 20))


def type_name(annotation: Any) -> str:
    """A setting's type in a word: its choices (``auto|cpu``) or INT, FLOAT, STR, PATH, JSON."""
    return "|".join(dict.fromkeys(_leaves(annotation)))


def _leaves(annotation: Any) -> Iterator[str]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        yield from arguments
    elif origin is dict:
        yield "JSON"
    elif origin is Annotated:
        yield from _leaves(arguments[0])
    elif origin is not None:
        for argument in arguments:
            yield from _leaves(argument)
    elif annotation is not type(None):
        yield annotation.__name__.upper()
