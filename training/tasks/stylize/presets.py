"""The networks that are shipped or measured, each with what it reached."""

from collections.abc import Mapping
from dataclasses import replace

from training.devices import Devices
from training.optimisation import Optimisation
from training.settings import Training
from training.tasks.stylize.config import Stylize

_BF16 = Devices(precision="bf16-mixed")

FULL = Stylize(
    name="stylize-full",
    description="The content of one picture in the style of any other.",
    licence="Apache-2.0",
    optimisation=Optimisation(
        optimizer="adam", lr=3e-4, batch_size=4, weight_decay=0.0, layer_decay=0.2
    ),
    training=Training(
        epochs=6, warmup_epochs=0.2, clip_norm=10.0, ema=0.98, checkpoint_steps=25, log_steps=10
    ),
    devices=_BF16,
)

SLIM = replace(
    FULL,
    name="stylize",
    network="slim",
    weights=None,
    description="The content of one picture in the style of any other, fast on a CPU.",
    optimisation=Optimisation(optimizer="adam", lr=1e-3, batch_size=4, weight_decay=0.0),
    training=Training(
        epochs=8, warmup_epochs=0.1, clip_norm=10.0, ema=0.99, checkpoint_steps=50, log_steps=10
    ),
    default=True,
)

#: ``sightline-train stylize`` begins with these.
FOLDER = Stylize(devices=_BF16)

PRESETS: Mapping[str, Stylize] = {"stylize-full": FULL, "stylize-slim": SLIM}
