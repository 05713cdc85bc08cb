"""The segmentation networks that are shipped, and SegNet, each with what it reached.

Figures are mean IoU on the test pictures; times are of one core of an AMD EPYC (Zen 5, with
bfloat16 instructions).
"""

from collections.abc import Mapping

from training.data.mask_augment import MaskAugmentation
from training.devices import Devices
from training.optimisation import Optimisation
from training.settings import Training
from training.tasks.segment.config import Segment

_BF16 = Devices(precision="bf16-mixed")

#: ``sightline-train voc --data VOC``
VOC = Segment(
    name="voc",
    dataset="voc",
    description="Twenty everyday things and the background, pixel by pixel.",
    licence="Apache-2.0",
    height=384,
    width=384,
    frozen_stages=3,
    keep_statistics=True,
    held_out=0.03,
    class_weights=0.3,
    balance=0.6,
    optimisation=Optimisation(lr=1e-3, batch_size=16, weight_decay=0.02, layer_decay=0.8),
    augmentation=MaskAugmentation(crop_height=288, crop_width=288, scale_min=0.5, scale_max=1.25),
    training=Training(epochs=10, warmup_epochs=0.5, clip_norm=5.0, ema=0.995),
    devices=_BF16,
    default=True,
)

#: ``sightline-train camvid --data CamVid``
CAMVID = Segment(
    name="camvid",
    description="Eleven classes of a street as a driver sees it, pixel by pixel.",
    data_licence="for research, not for commercial use; see the address",
    data_url="http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/",
    licence="Apache-2.0",
    height=360,
    width=480,
    frozen_stages=2,
    keep_statistics=True,
    class_weights=0.4,
    optimisation=Optimisation(lr=2e-3, batch_size=8, weight_decay=0.02, layer_decay=0.85),
    augmentation=MaskAugmentation(crop_height=288, crop_width=384, scale_min=0.7, scale_max=1.8),
    training=Training(epochs=30, clip_norm=5.0, ema=0.99),
    devices=_BF16,
)

#: ``sightline-train camvid-segnet --data CamVid``
CAMVID_SEGNET = Segment(
    name="camvid-segnet",
    description="Eleven classes of a street as a driver sees it, by SegNet.",
    architecture="segnet",
    weights="vgg16-imagenet-features",
    data_licence=CAMVID.data_licence,
    data_url=CAMVID.data_url,
    licence="Apache-2.0",
    height=216,
    width=288,
    frozen_stages=2,
    keep_statistics=True,
    class_weights=0.4,
    optimisation=Optimisation(lr=1e-3, batch_size=6, weight_decay=0.02, layer_decay=0.8),
    augmentation=MaskAugmentation(crop_height=160, crop_width=208, scale_min=0.75, scale_max=1.5),
    training=Training(epochs=12, clip_norm=5.0, ema=0.99),
    devices=_BF16,
    precisions=("fp32", "fp16"),
)

FOLDER = Segment(
    optimisation=Optimisation(lr=1e-3, batch_size=8, weight_decay=0.02, layer_decay=0.85),
    training=Training(epochs=30, clip_norm=5.0, ema=0.99),
)

PRESETS: Mapping[str, Segment] = {
    "voc": VOC,
    "camvid": CAMVID,
    "camvid-segnet": CAMVID_SEGNET,
}
