"""The flags of ``sightline models import``."""

import argparse
from pathlib import Path

from training.foreign.preprocessing import PRESETS

_EXAMPLES = """examples:
  # exported from torchvision or timm: pixels to 0..1, then ImageNet's mean and std
  sightline models import resnet18.onnx --name resnet18 --labels imagenet.txt --preset torchvision

  # the same in numbers
  sightline models import resnet18.onnx --name resnet18 --labels imagenet.txt \\
      --range 0..1 --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225
  sightline models import resnet18.onnx --name resnet18 --labels imagenet.txt \\
      --mean 123.675,116.28,103.53 --std 58.395,57.12,57.375

  # exported from Keras, Caffe style: BGR, mean taken off, channels last
  sightline models import vgg.onnx --name vgg --labels imagenet.txt --preset caffe --layout nhwc

  # pixels squashed to 299x299, scores in an output of several
  sightline models import net.onnx --name net --labels pets.txt --preset tf \\
      --size 299 --resize squash --output probabilities

presets:
"""
TYPES = ("float32", "float16", "uint8")
CROP = 0.875


def parser(prog: str, models: Path) -> argparse.ArgumentParser:
    """The parser.

    Args:
        prog: what to call the command in its help.
        models: where ``--models`` points without being given.
    """
    width = max(map(len, PRESETS))
    presets = "\n".join(f"  {name:{width}}  {p.meaning}" for name, p in PRESETS.items())
    made = argparse.ArgumentParser(
        prog,
        description="Put a foreign ONNX file under Sightline's contract. Its weights stay as they "
        "are; what has to be done to pixels before it and to scores behind it becomes part of "
        "the graph, and the result is compared with the file run by hand.",
        epilog=_EXAMPLES + presets,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = made.add_argument
    add("file", type=Path, metavar="FILE.onnx", help="the file; weights outside it beside it")
    add("--task", choices=["classify"], default="classify", help="default: classify")
    add("--name", required=True, help="of the new model, and of its folder")
    add(
        "--labels",
        required=True,
        type=Path,
        metavar="FILE",
        help="one label a line, in the order of the scores; or JSON",
    )
    add("--models", type=Path, default=models, metavar="FOLDER", help=f"default: {models}")
    add("--overwrite", action="store_true", help="replace a model of that name")
    add("--default", action="store_true", help="use it where a request names no model")
    pixels = made.add_argument_group("pixels: what the file was trained on")
    add = pixels.add_argument
    add(
        "--preset",
        choices=PRESETS,
        help="a convention; stands for --mean, --std, --range, and --channels unless given",
    )
    add(
        "--mean",
        type=_one_or_three,
        metavar="M|R,G,B",
        help="(pixel - mean) / std, one number "
        "or one a channel in the file's order of channels; default: 0",
    )
    add("--std", type=_positive_one_or_three, metavar="S|R,G,B", help="default: 1")
    add(
        "--range",
        choices=["0..255", "0..1"],
        help="of a pixel before mean and std; default: "
        "0..255. With 0..1, pixels are divided by 255 first",
    )
    add("--channels", choices=["rgb", "bgr"], help="default: rgb, or the preset's")
    add("--layout", choices=["nchw", "nhwc"], help="default: as the input's shape says")
    add("--dtype", choices=TYPES, help="default: the input's own; refuses another")
    size = made.add_argument_group("size: how a picture gets there")
    add = size.add_argument
    add("--size", type=_size, metavar="N|HxW", help="default: the input's own")
    add(
        "--resize",
        choices=["shortest_side", "squash", "letterbox"],
        default="shortest_side",
        help="default: shortest_side",
    )
    add(
        "--crop",
        type=float,
        metavar="SHARE",
        help=f"of the shortest side that is seen; default: {CROP}, as in resize 256, crop 224",
    )
    add(
        "--interpolation",
        choices=["nearest", "bilinear", "bicubic", "lanczos"],
        default="bilinear",
        help="default: bilinear",
    )
    add("--pad-value", type=int, default=0, metavar="0..255", help="for letterbox; default: 0")
    scores = made.add_argument_group("scores")
    add = scores.add_argument
    add("--output", metavar="NAME", help="the output that holds them, where there are several")
    add(
        "--output-kind",
        choices=["logits", "probabilities"],
        help="default: found out by running the file",
    )
    words = made.add_argument_group("words for manifest and card")
    add = words.add_argument
    add("--description", help="a sentence")
    add("--licence", default="not stated", help="of the weights; default: not stated")
    add("--url", help="where the file comes from")
    return made


def _one_or_three(text: str) -> tuple[float, ...]:
    numbers = tuple(float(part) for part in text.split(","))
    if len(numbers) not in (1, 3) or not all(abs(number) < float("inf") for number in numbers):
        raise ValueError
    return numbers


def _positive_one_or_three(text: str) -> tuple[float, ...]:
    numbers = _one_or_three(text)
    if min(numbers) <= 0:
        raise ValueError
    return numbers


def _size(text: str) -> tuple[int, int]:
    numbers = [int(part) for part in text.lower().split("x")]
    if len(numbers) > 2 or min(numbers) < 1:
        raise ValueError
    return numbers[0], numbers[-1]


# argparse names the type in its complaint.
_one_or_three.__name__ = "one or three numbers"
_positive_one_or_three.__name__ = "one or three positive numbers"
_size.__name__ = "size (224 or 224x320)"
