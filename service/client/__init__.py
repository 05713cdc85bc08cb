"""A client of a running service; imports nothing of the service itself.

::

    from pathlib import Path
    from service.client import Sightline, Style

    with Sightline("http://127.0.0.1:8000") as sightline:
        print(sightline.classify("cat.jpg").predictions[0].label)
        Path("boxed.jpg").write_bytes(sightline.detect_drawn("street.jpg"))
        styled = sightline.stylize("house.jpg", [Style("wave", 0.7), Path("painting.jpg")])
"""

from service.client.errors import SightlineClientError, UnreachableError
from service.client.pictures import Picture, Style
from service.client.results import (
    Box,
    Caption,
    Captions,
    Classification,
    Detection,
    Detections,
    Extent,
    ImageSeen,
    ModelSummary,
    ModelUsed,
    Png,
    Polygons,
    Prediction,
    PresetShown,
    RunLengths,
    Segment,
    Segmentation,
    Timing,
    Word,
)
from service.client.retry import Patience
from service.client.sightline import Sightline

__all__ = [
    "Box",
    "Caption",
    "Captions",
    "Classification",
    "Detection",
    "Detections",
    "Extent",
    "ImageSeen",
    "ModelSummary",
    "ModelUsed",
    "Patience",
    "Picture",
    "Png",
    "Polygons",
    "Prediction",
    "PresetShown",
    "RunLengths",
    "Segment",
    "Segmentation",
    "Sightline",
    "SightlineClientError",
    "Style",
    "Timing",
    "UnreachableError",
    "Word",
]
