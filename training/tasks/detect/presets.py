"""The detectors that are shipped, each with what it reached.

Figures are mean average precision at an overlap of 0.5 on the test pictures, in brackets that over
overlaps of 0.5 to 0.95; times are of one core of an AMD EPYC (Zen 5, with bfloat16 instructions).
"""

from collections.abc import Mapping

from training.data.box_augment import BoxAugmentation
from training.devices import Devices
from training.optimisation import Optimisation
from training.settings import Training
from training.tasks.detect.config import Detect

_BF16 = Devices(precision="bf16-mixed")

#: ``sightline-train bccd --data BCCD``: 0.923 (0.606) after 40 minutes of a core.
BCCD = Detect(
    name="bccd",
    description="Blood cells in stained smears under a microscope: red, white, platelets.",
    use=(
        "Finds red blood cells, white blood cells and platelets in pictures of stained blood "
        "smears like those of the BCCD set, 640x480 pixels of one microscope. A benchmark of the "
        "training kit, not a medical device: not for diagnosis."
    ),
    literature=(
        "Other convolutional detectors are reported at a `map50` of 0.90 to 0.94 on this set. Many "
        "red cells have no box in it, so what counts as a false alarm is often a cell."
    ),
    data_licence="MIT",
    data_url="https://github.com/Shenggan/BCCD_Dataset",
    licence="Apache-2.0",
    size=416,
    optimisation=Optimisation(lr=1e-3, batch_size=8, weight_decay=0.02, layer_decay=0.85),
    augmentation=BoxAugmentation(
        flip=True, vertical_flip=True, crop=0.0, scale_min=0.75, scale_max=1.4, photometric=0.8
    ),
    training=Training(epochs=50, clip_norm=5.0, ema=0.99),
    devices=_BF16,
    precisions=("fp32", "int8"),
)

#: ``sightline-train everyday --data everyday``: 0.495 (0.225) after 73 minutes of a core. The
#: command for a GPU is in docs/training.md.
EVERYDAY = Detect(
    name="detect",
    dataset="everyday",
    description="Twenty everyday things: people, animals, vehicles and what stands in a room.",
    use=(
        "Finds people, six animals, vehicles and things of a room (the 20 classes of PASCAL VOC) "
        "in photographs and draws a box around each. Large, whole objects are found best; small "
        "ones, and those of classes with few training pictures (boats, bottles, plants, sofas, "
        "screens), are often missed. Made on a small budget: for a service that needs every "
        "object, train on more pictures and a GPU, or serve a published detector "
        "(`sightline-train coco-detector`). Not for decisions about people, nor where a miss does "
        "harm."
    ),
    literature=(
        "Published for Faster R-CNN with VGG-16: a `map50` of 0.699 to 0.732 on PASCAL VOC 2007, "
        "trained on 5,011 to 16,551 fully labelled pictures of 600 pixels on a GPU (Ren et al., "
        "2015). This one saw 483 pictures of VOC, 456 of COCO and 740 of "
        "animals, at 352 pixels, in about an hour and a half of one core of a CPU, with no GPU; "
        "its test set is other pictures, of VOC 2012, and small: see the interval."
    ),
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
