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

#: ``sightline-train voc --data VOC``: 0.560 after 70 minutes of a core.
VOC = Segment(
    name="voc",
    dataset="voc",
    description="Twenty everyday things and the background, pixel by pixel.",
    use=(
        "Says of every pixel of a photograph whether it belongs to a person, one of six animals, a "
        "vehicle or a thing of a room (the 20 classes of PASCAL VOC), or to none of them. It does "
        "not count: two dogs side by side are one area. Edges are a few pixels off, thin parts "
        "(legs of chairs, spokes) are missed, and classes with 30 to 80 pictures to learn from "
        "are told worse than cats, dogs, horses and people. Made on a small budget: with a GPU, "
        "train on all of VOC, or serve a published network (`sightline-train voc-segmenter`). Not "
        "for decisions about people, nor where a miss does harm."
    ),
    literature=(
        "Published on VOC 2012's own val, trained on about 8,500 pictures or more on GPUs: FCN-8s "
        "0.655, torchvision's FCN-ResNet50 with COCO 0.605. This one saw 3,712 pictures, three of "
        "four of them of dogs, cats, horses and sheep, on one core of a CPU; its test set is other "
        "pictures, 200 with VOC's own masks."
    ),
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

#: ``sightline-train camvid --data CamVid``: 0.609 after 35 minutes of a core.
CAMVID = Segment(
    name="camvid",
    description="Eleven classes of a street as a driver sees it, pixel by pixel.",
    use=(
        "Says of every pixel of a picture taken from a car, by day, which of eleven classes it "
        "belongs to. It learned from 367 pictures of one camera in one town: elsewhere, at night "
        "or in rain expect less. Roads, sky, buildings, trees and cars are told well; poles, signs "
        "and fences are often missed or too thick. Not for driving, nor where a mistake does harm. "
        "The pictures it learned from come under terms that allow research, not commercial use."
    ),
    literature=(
        "Published on this test set at this size, trained on GPUs: FCN-8s 0.570, SegNet 0.464 to "
        "0.601 by report, ENet 0.513, FC-DenseNet103 0.669."
    ),
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
    precisions=("fp32", "int8"),
)

#: ``sightline-train camvid-segnet --data CamVid``: 0.528 after 25 of its 40 epochs, 85 minutes of a
#: core, when it was stopped.
CAMVID_SEGNET = Segment(
    name="camvid-segnet",
    description="Eleven classes of a street as a driver sees it, by SegNet.",
    architecture="segnet",
    weights="vgg16-imagenet-features",
    data_licence=CAMVID.data_licence,
    data_url=CAMVID.data_url,
    licence="Apache-2.0",
    height=270,
    width=360,
    frozen_stages=2,
    keep_statistics=True,
    class_weights=0.4,
    optimisation=Optimisation(lr=1e-3, batch_size=6, weight_decay=0.02, layer_decay=0.8),
    augmentation=MaskAugmentation(crop_height=176, crop_width=240, scale_min=0.75, scale_max=1.5),
    training=Training(epochs=40, clip_norm=5.0, ema=0.99),
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
