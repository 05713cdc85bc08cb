"""Draw the diagrams of docs/architecture.md: ``python docs/make/diagrams.py``."""

from pathlib import Path
from typing import Final

from stages import Stage, draw

OUT: Final = Path(__file__).parents[1] / "pictures"

_LOOP, _PICTURES, _SLOT, _DRAWING = "event loop", "picture thread", "run slot", "drawing"

REQUEST: Final = (
    Stage(
        _LOOP,
        "A connection, a head",
        "service/protocol.py, connection.py",
        ("bounded in number, bytes and seconds",),
        ("400, 408, 414, 431", "503: too many"),
    ),
    Stage(
        _LOOP,
        "The edge",
        "service/edge.py, guard.py",
        ("request id, log, metrics; key, scope, rate",),
        ("401, 403", "429: rate limit"),
    ),
    Stage(
        _LOOP,
        "The route: which task, which parameters",
        "service/api.py",
        ("one typed function an endpoint",),
        ("404: no such model", "406: Accept", "422: parameters"),
    ),
    Stage(
        _LOOP,
        "Admission, then the body",
        "service/inference.py, admission.py, uploads.py",
        ("a full model refuses before a byte of it is read",),
        ("429 and Retry-After", "400, 408, 413, 415"),
    ),
    Stage(
        _PICTURES,
        "Decode: upright RGB, no larger than needed",
        "service/job.py, images.py",
        ("limits are checked against the header first",),
        ("413: pixels, frames", "422: damaged"),
    ),
    Stage(
        _PICTURES,
        "Prepare: uint8 at the model's size",
        "service/tasks/<task>.py, resize.py",
        ("and the placement that leads back to the original",),
    ),
    Stage(
        _SLOT,
        "Queue: a free slot takes what waits",
        "service/batching.py",
        ("at once, up to max_batch pictures; no timer",),
        ("504: deadline",),
    ),
    Stage(
        _SLOT,
        "Run: the graph does all the arithmetic",
        "service/session.py",
        ("normalisation, NMS, argmax, beam search are in it",),
        ("500, 503: see", "When something breaks"),
    ),
    Stage(
        _SLOT,
        "Finish: the typed answer",
        "service/tasks/<task>.py",
        ("in the original's pixels; on a GPU in a picture thread",),
    ),
    Stage(
        _DRAWING,
        "Draw, where Accept asks for a picture",
        "service/rendering.py",
        ("or where an answer takes long to finish",),
    ),
    Stage(
        _LOOP,
        "Answer",
        "service/answering.py, delivery.py",
        ("JSON, or a picture as fast as it is read",),
    ),
)

_KIT, _TORCH, _WITHOUT, _SERVICE = "command", "PyTorch", "no PyTorch", "service"

TRAINING: Final = (
    Stage(
        _KIT,
        "sightline-train classify --data my_photos",
        "training/cli.py, tasks/<task>/config.py",
        ("a frozen dataclass; every field is a flag",),
        ("runs/pets/config.json",),
    ),
    Stage(
        _TORCH,
        "Data: read, parted, varied",
        "training/tasks/<task>/data.py, training/data",
        ("through the service's own decode and resize",),
        ("augmentation.png", "damaged files, by name"),
    ),
    Stage(
        _TORCH,
        "Network and first weights",
        "training/nets, training/weights.py",
        ("published ones, checked by hash; or random",),
    ),
    Stage(
        _TORCH,
        "The loop, the same for every task",
        "training/loop.py, recipe.py",
        ("batch, update(batch), step; after each epoch", "evaluate; the best epoch is kept"),
        ("history.jsonl", "last.ckpt, best.ckpt", "TensorBoard"),
    ),
    Stage(
        _TORCH,
        "Measure on pictures kept aside",
        "training/tasks/<task>/metrics.py",
        ("they took no part in choosing anything",),
        ("curves.png", "results.json"),
    ),
    Stage(
        _TORCH,
        "Export: fp32, fp16, int8",
        "training/tasks/<task>/publish.py, export.py",
        ("the graph takes uint8 and ends at the task's values",),
    ),
    Stage(
        _WITHOUT,
        "Parity, golden outputs, figures of each variant",
        "training/parity.py, model_folder.py",
        ("run by the service's own session and tasks",),
        ("refused if it computes", "anything else"),
    ),
    Stage(
        _WITHOUT,
        "models/pets takes its place in one step",
        "service/contract.py",
        ("manifest, graphs, golden.npz, MODEL_CARD.md",),
        ("models/pets/",),
    ),
    Stage(
        _SERVICE,
        "Load: hashes, signature, golden outputs",
        "service/loading.py, golden.py, variant.py",
        ("on the device it will serve on; the fastest variant", "whose quality holds is chosen"),
        ("refused; what served", "before goes on"),
    ),
    Stage(
        _SERVICE,
        "Serve: POST /classify?model=pets",
        "service/upkeep.py, registry.py",
        ("swapped in without a failed request",),
    ),
)


def diagrams() -> dict[str, str]:
    """The SVG of each diagram, by file name."""
    return {
        "request.svg": draw(
            "A request's way",
            "From the connection through edge, route and admission on the event loop, decoding and "
            "preparing in a picture thread, queue, run and finish in a run slot, perhaps drawing, "
            "back to the event loop; at the right the statuses a request may leave with.",
            REQUEST,
        ),
        "training.svg": draw(
            "A training run's way",
            "From the command through data, network, loop and measurement in PyTorch, export, "
            "parity and the model's folder without it, to the service that loads and serves it; "
            "at the right the files each stage leaves.",
            TRAINING,
        ),
    }


if __name__ == "__main__":
    for name, drawn in diagrams().items():
        (OUT / name).write_text(drawn)
        print(OUT / name)
