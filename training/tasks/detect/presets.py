"""The detectors that are shipped, each with what it reached."""

from collections.abc import Mapping

from training.data.box_augment import BoxAugmentation
from training.devices import Devices
from training.optimisation import Optimisation
from training.settings import Training
from training.tasks.detect.config import Detect

_BF16 = Devices(precision="bf16-mixed")

BCCD = Detect(
    name="bccd",
    description="Blood cells in stained smears under a microscope: red, white, platelets.",
    use=(
        "Finds red blood cells, white blood cells and platelets in pictures of stained blood "
        "smears like those of the BCCD set, 640x480 pixels of one microscope. A benchmark of the "
        "training kit, not a medical device: not for diagnosis."
    ),
    licence="Apache-2.0",
    size=416,
    optimisation=Optimisation(lr=1e-3, batch_size=8, weight_decay=0.02, layer_decay=0.85),
    augmentation=BoxAugmentation(
        flip=True, vertical_flip=True, crop=0.0, scale_min=0.75, scale_max=1.4, photometric=0.8
    ),
    training=Training(epochs=50, clip_norm=5.0, ema=0.99),
    devices=_BF16,
)

EVERYDAY = Detect(
    name="detect",
    dataset="everyday",
    description="Twenty everyday things: people, animals, vehicles and what stands in a room.",
    licence="Apache-2.0",
    size=352,
    optimisation=Optimisation(lr=1e-3, batch_size=16, weight_decay=0.02, layer_decay=0.75),
    augmentation=BoxAugmentation(crop=0.5, zoom_out=2.0, scale_min=0.8, scale_max=1.25),
    training=Training(epochs=20, clip_norm=5.0, ema=0.995),
    devices=_BF16,
    default=True,
)

FOLDER = Detect(
    optimisation=Optimisation(lr=1e-3, batch_size=8, weight_decay=0.02, layer_decay=0.85),
    training=Training(epochs=30, clip_norm=5.0, ema=0.99),
)

PRESETS: Mapping[str, Detect] = {"bccd": BCCD, "everyday": EVERYDAY}
