"""What a Ray Serve application of Sightline takes: the ``args`` of ``deploy/serve.yaml``."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.settings import Settings

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]

#: Settings that mean nothing here: Serve's proxies listen, and a replica's CPUs are reserved.
ELSEWHERE = {
    "host": "http_options.host of the Serve configuration",
    "port": "http_options.port of the Serve configuration",
    "cpus": "the argument cpus",
}


class Arguments(BaseModel):
    """How many replicas, how large each is and when there are to be more or fewer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cpus: Count = Field(
        2, description="CPUs that Ray reserves for a replica and that the replica uses."
    )
    gpus: float = Field(
        0,
        ge=0,
        le=1,
        description="Share of a GPU for a replica; above 0, it refuses to do without.",
    )
    memory_mib: Count | None = Field(
        None, description="MiB that Ray reserves for a replica, without holding it to them."
    )
    min_replicas: Count = Field(1, description="Replicas when nothing is asked.")
    max_replicas: Count = Field(4, description="Most replicas; past what they can do, 429.")
    target_ongoing_requests: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="Requests in flight for each replica that scaling aims at; "
        "default: what a replica's slots run at a time.",
    )
    look_back_s: float = Field(
        15.0,
        gt=10,
        description="Seconds the demand is averaged over; Ray is told of it every 10 s.",
    )
    upscale_delay_s: float = Field(
        10.0, ge=0, description="Seconds the demand must last before replicas are added."
    )
    downscale_delay_s: float = Field(
        300.0, ge=0, description="Seconds the demand must be gone before replicas are removed."
    )
    start_timeout_s: Seconds = Field(
        300.0, description="Seconds a replica may take to load its models; past it, a new one."
    )
    settings: dict[str, Any] = Field(
        {}, description="Settings of every replica by name; they win over SIGHTLINE_* variables."
    )

    @model_validator(mode="after")
    def _refuse_what_cannot_be(self) -> Self:
        if self.max_replicas < self.min_replicas:
            raise ValueError("max_replicas is less than min_replicas")
        for name in self.settings:
            if name in ELSEWHERE:
                raise ValueError(f"settings.{name}: is given by {ELSEWHERE[name]}")
            if name not in Settings.model_fields:
                raise ValueError(f"settings.{name}: there is no such setting")
        return self

    def of_replica(self) -> Settings:
        """The settings of one replica, from the arguments and this process's environment.

        Raises:
            ValidationError: a value is out of range.
        """
        given = dict(self.settings)
        if self.gpus:
            given.setdefault("device", "cuda")
        return Settings(**given, cpus=self.cpus)

    def target(self, settings: Settings) -> float:
        """Requests in flight for each replica that scaling aims at.

        By default as many pictures as the slots of one model run at a time: fewer leave the
        processor idle, more only wait.
        """
        if self.target_ongoing_requests is not None:
            return self.target_ongoing_requests
        slots = settings.slots or (2 if self.gpus else self.cpus)
        return float(slots * (settings.max_batch or (32 if self.gpus else 2)))
