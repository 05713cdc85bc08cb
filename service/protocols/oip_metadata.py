"""What the Open Inference Protocol and Triton's extensions tell of a server and its models."""

from typing import Literal

from pydantic import BaseModel, Field

from service.contract import TensorSpec
from service.loading import Model
from service.protocols.oip_limits import is_picture
from service.protocols.oip_tensors import DATATYPES, open_shape
from service.tally import Spent

PLATFORM = "onnxruntime_onnx"
EXTENSIONS = [
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "parameters",
    "schedule_policy",
    "statistics",
    "model_repository",
]


class ServerLive(BaseModel):
    """The process is alive."""

    live: bool


class ServerReady(BaseModel):
    """Models are loaded."""

    ready: bool


class ModelReady(BaseModel):
    """A model serves."""

    name: str
    ready: bool


class ServerMetadata(BaseModel):
    """Which server this is."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(BaseModel):
    """An input or output of a model's graph."""

    name: str
    datatype: str
    shape: list[int] = Field(description="-1 for a length that the caller chooses.")


class ModelMetadata(BaseModel):
    """A model's inputs and outputs."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class TensorConfig(BaseModel):
    """An input or output as Triton's model configuration has it."""

    name: str
    data_type: str
    dims: list[int] = Field(description="Without the batch; -1 for a length that is open.")


class InstanceGroup(BaseModel):
    """How many runs at a time, and on what."""

    count: int
    kind: Literal["KIND_CPU", "KIND_GPU"]


class Batching(BaseModel):
    """That requests share runs; nothing waits for others."""

    preferred_batch_size: list[int]
    max_queue_delay_microseconds: int


class StringValue(BaseModel):
    """A parameter."""

    string_value: str


class ModelConfig(BaseModel):
    """What of Triton's model configuration has a meaning here."""

    name: str
    platform: str
    backend: str
    max_batch_size: int = Field(description="The most items that one request can bring.")
    input: list[TensorConfig]
    output: list[TensorConfig]
    instance_group: list[InstanceGroup]
    dynamic_batching: Batching
    default_model_filename: str
    parameters: dict[str, StringValue] = Field(
        description="`task`, and `encoded_pictures`: the input that takes BYTES as well."
    )


class Duration(BaseModel):
    """How often, and how long it took all together."""

    count: int
    ns: int


class InferenceStatistics(BaseModel):
    """What became of items, and where their time went."""

    success: Duration
    fail: Duration
    queue: Duration
    compute_input: Duration = Field(description="Decoding and resizing of encoded pictures.")
    compute_infer: Duration
    compute_output: Duration = Field(description="What is left of the time of those that succeed.")


class BatchStatistics(BaseModel):
    """Runs of one size."""

    batch_size: int
    compute_infer: Duration


class ModelStatistics(BaseModel):
    """What a model has done since it was loaded."""

    name: str
    version: str
    last_inference: int = Field(description="Milliseconds since the epoch; 0 if there was none.")
    inference_count: int = Field(description="Items answered.")
    execution_count: int = Field(description="Runs.")
    inference_stats: InferenceStatistics
    batch_stats: list[BatchStatistics]


class Statistics(BaseModel):
    """Of one model or of all."""

    model_stats: list[ModelStatistics]


def metadata(model: Model) -> ModelMetadata:
    """A model's inputs and outputs as they are."""
    variant, manifest = model.manifest.graphs["main"][model.precision], model.manifest
    return ModelMetadata(
        name=manifest.name,
        versions=[manifest.version],
        platform=PLATFORM,
        inputs=[_tensor(spec) for spec in variant.inputs],
        outputs=[_tensor(spec) for spec in variant.outputs],
    )


def config(model: Model) -> ModelConfig:
    """A model's configuration as Triton would have it."""
    variant, manifest = model.manifest.graphs["main"][model.precision], model.manifest
    pictures = [spec.name for spec in variant.inputs if is_picture(spec)]
    told = {"task": manifest.task} | ({"encoded_pictures": pictures[0]} if pictures else {})
    return ModelConfig(
        name=manifest.name,
        platform=PLATFORM,
        backend="onnxruntime",
        max_batch_size=model.admission.capacity or 0,
        input=[_config(spec) for spec in variant.inputs],
        output=[_config(spec) for spec in variant.outputs],
        instance_group=[
            InstanceGroup(
                count=model.batcher.slots,
                kind="KIND_CPU" if model.device.kind == "cpu" else "KIND_GPU",
            )
        ],
        dynamic_batching=Batching(
            preferred_batch_size=[model.batcher.max_batch], max_queue_delay_microseconds=0
        ),
        default_model_filename=variant.file,
        parameters={name: StringValue(string_value=value) for name, value in told.items()},
    )


def statistics(model: Model) -> ModelStatistics:
    """What a model has done since it was loaded."""
    counts = model.meter.tally.read()
    answered, apart = counts.answered, counts.decoded.seconds + counts.queued.seconds
    rest = max(0.0, answered.seconds - apart - counts.ran.seconds)
    return ModelStatistics(
        name=model.manifest.name,
        version=model.manifest.version,
        last_inference=round(counts.last_s * 1e3),
        inference_count=answered.count,
        execution_count=sum(spent.count for spent in counts.runs.values()),
        inference_stats=InferenceStatistics(
            success=_duration(answered),
            fail=_duration(counts.failed),
            queue=_duration(counts.queued),
            compute_input=_duration(counts.decoded),
            compute_infer=_duration(counts.ran),
            compute_output=_duration(Spent(answered.count, rest)),
        ),
        batch_stats=[
            BatchStatistics(batch_size=size, compute_infer=_duration(spent))
            for size, spent in sorted(counts.runs.items())
        ],
    )


def _tensor(spec: TensorSpec) -> TensorMetadata:
    return TensorMetadata(name=spec.name, datatype=DATATYPES[spec.dtype], shape=open_shape(spec))


def _config(spec: TensorSpec) -> TensorConfig:
    kind = "STRING" if spec.dtype == "string" else DATATYPES[spec.dtype]
    return TensorConfig(name=spec.name, data_type=f"TYPE_{kind}", dims=open_shape(spec)[1:])


def _duration(spent: Spent) -> Duration:
    return Duration(count=spent.count, ns=round(spent.seconds * 1e9))
