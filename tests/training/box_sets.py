"""Small sets of pictures with boxes: coloured shapes on noise, as VOC, COCO and Roboflow do it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageDraw

from service.images import Limits, decode

CLASSES = ("disc", "square")
COLOURS = {"disc": (220, 40, 40), "square": (40, 60, 220)}

STORED_SIZE = (64, 48)
"""Width and height of what ``write_turned`` stores."""
STORED_BOX = (8, 16, 40, 24)
"""Where the bar is in that."""

Box = tuple[int, int, int, int]
"""First column and row, and those after the last, in pixels."""


@dataclass(frozen=True)
class Drawn:
    """A picture and the shapes in it."""

    picture: Image.Image
    objects: tuple[tuple[str, Box], ...]


def draw(
    seed: int,
    *,
    width: int = 96,
    height: int = 72,
    shapes: int = 3,
    classes: Sequence[str] = CLASSES,
) -> Drawn:
    """Shapes that do not overlap, of the classes in turn, on dark noise."""
    random = np.random.default_rng(seed)
    noise = random.integers(0, 60, (height, width, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    pen = ImageDraw.Draw(picture)
    taken: list[Box] = []
    while len(taken) < shapes:
        side = int(random.integers(height // 5, height // 3))
        left, top = (int(random.integers(0, end - side)) for end in (width, height))
        box = (left, top, left + side, top + side)
        if any(
            box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
            for other in taken
        ):
            continue
        name = classes[(seed + len(taken)) % len(classes)]
        shape = pen.rectangle if name == "square" else pen.ellipse
        shape((left, top, left + side - 1, top + side - 1), fill=COLOURS.get(name, (40, 200, 40)))
        taken.append(box)
    names = [classes[(seed + number) % len(classes)] for number in range(shapes)]
    return Drawn(picture, tuple(zip(names, taken, strict=True)))


def voc_object(name: str, corners: Sequence[object], extra: str = "") -> str:
    """An object as VOC writes it, with corners as they are to be in the file."""
    tags = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    box = "".join(f"<{tag}>{value}</{tag}>" for tag, value in tags)
    return f"<object><name>{name}</name>{extra}<bndbox>{box}</bndbox></object>"


def write_voc_picture(
    folder: Path, stem: str, picture: Image.Image, objects: Sequence[str], suffix: str = ".png"
) -> Path:
    """One picture and its XML file, which is returned."""
    for name in ("Annotations", "JPEGImages"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    picture.save(folder / "JPEGImages" / f"{stem}{suffix}")
    path = folder / "Annotations" / f"{stem}.xml"
    size = f"<size><width>{picture.width}</width><height>{picture.height}</height></size>"
    path.write_text(
        f"<annotation><filename>{stem}{suffix}</filename>{size}{''.join(objects)}</annotation>"
    )
    return path


def write_voc(folder: Path, parts: Mapping[str, int], **drawn: Any) -> Path:
    """A VOC set with this many pictures in each list ``ImageSets/Main/<part>.txt``."""
    lists = folder / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    seed = 0
    for part, count in parts.items():
        stems = []
        for _ in range(count):
            one = draw(seed, **drawn)
            objects = [
                voc_object(name, (x0 + 1, y0 + 1, x1, y1)) for name, (x0, y0, x1, y1) in one.objects
            ]
            write_voc_picture(folder, f"{seed:04}", one.picture, objects)
            stems.append(f"{seed:04}\n")
            seed += 1
        (lists / f"{part}.txt").write_text("".join(stems))
    return folder


def coco_content(pictures: Mapping[str, Drawn], classes: Sequence[str] = CLASSES) -> dict[str, Any]:
    """What COCO's JSON says of pictures; categories have the ids 7, 17, ..."""
    ids = {name: 7 + 10 * number for number, name in enumerate(classes)}
    images = [
        {"id": 100 + n, "file_name": name, "width": d.picture.width, "height": d.picture.height}
        for n, (name, d) in enumerate(pictures.items())
    ]
    boxes = [
        (100 + n, ids[name], [x0, y0, x1 - x0, y1 - y0])
        for n, drawn in enumerate(pictures.values())
        for name, (x0, y0, x1, y1) in drawn.objects
    ]
    annotations = [
        {"id": n, "image_id": image, "category_id": category, "bbox": box, "iscrowd": 0}
        for n, (image, category, box) in enumerate(boxes, 1)
    ]
    categories = [{"id": number, "name": name} for name, number in ids.items()]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_coco(
    annotations: Path, pictures: Path, count: int, first_seed: int = 0
) -> dict[str, Any]:
    """A COCO set; what its JSON says is returned."""
    pictures.mkdir(parents=True, exist_ok=True)
    annotations.parent.mkdir(parents=True, exist_ok=True)
    drawn = {f"{seed:04}.png": draw(seed) for seed in range(first_seed, first_seed + count)}
    for name, one in drawn.items():
        one.picture.save(pictures / name)
    content = coco_content(drawn)
    annotations.write_text(json.dumps(content))
    return content


def write_turned(path: Path, orientation: int) -> None:
    """A JPEG of a white bar on black that EXIF turns."""
    picture = Image.new("RGB", STORED_SIZE)
    left, top, right, bottom = STORED_BOX
    ImageDraw.Draw(picture).rectangle((left, top, right - 1, bottom - 1), fill="white")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, exif=exif, quality=95)


def seen_bar(path: Path) -> tuple[tuple[int, int], Box]:
    """The size of such a picture and the box of the bar in it, as the service decodes it."""
    picture = decode(path.read_bytes(), Limits())
    rows, columns = np.nonzero(np.asarray(picture.pixels)[..., 0] > 127)
    box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
    return (picture.width, picture.height), box
