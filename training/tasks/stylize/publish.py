"""From a trained network that stylizes to what ``training.export`` takes, words included."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from service.contract import InputGeometry
from service.presets import write_presets
from service.session import Arrays, Session
from service.tasks.stylize import deviation
from training.data.style_pictures import FixedPairs
from training.devices import machine
from training.exportable import Asset, Card, Exportable, Graph, Score
from training.golden import golden_pictures
from training.made_by import told_weights
from training.nets.style.stylizer import Encode, Main, Stylizer
from training.stored_half import round_weights
from training.tasks.stylize.config import Stylize
from training.tasks.stylize.metrics import gathered_quality, judge
from training.tasks.stylize.named_styles import named_styles
from training.tasks.stylize.objective import Weighting
from training.tasks.stylize.train import Results

#: Share of the pixels that may be more than 2 levels off.
TOLERANCE = 1e-3
#: Of a number of a code, which is some units large.
CODE_TOLERANCE = 1e-3

_GOLDEN = (96, 124)
_CHECKED = 8
_ANY_SIZE = {"images": {0: "N", 1: "H", 2: "W"}}


def publish(config: Stylize, results: Results, command: str) -> Exportable:
    """Describe a trained network for export; its weights are rounded to float16.

    Args:
        config: what it was trained with.
        results: of that training.
        command: that makes it again, for the card.

    Raises:
        FileError: the paintings of the presets cannot be had.
    """
    net, test = results.module, results.gathered.test
    round_weights(net)
    checked = [test[at] for at in range(min(_CHECKED, len(test)))]
    made = graphs(
        net,
        contents=[pair.content.numpy() for pair in checked],
        styles=[pair.style.numpy() for pair in checked],
    )
    assets = {}
    if config.presets:
        content = write_presets(named_styles(net, config.style_side, config.downloads))
        assets["presets"] = Asset("presets.json", content)
    side = config.largest_side
    return Exportable(
        name=config.name,
        version="1",
        task="stylize",
        description=_description(config),
        graphs=made,
        input=InputGeometry(height=side, width=side, resize="pad_to_multiple"),
        card=_card(config, results, compared=len(checked)),
        command=command,
        data=tuple(dict.fromkeys((*results.begun, *results.gathered.sources))),
        licence=config.licence,
        default=config.default,
        options={"style_side": config.style_side},
        assets=assets,
        config=_settings(config, results),
        seed=config.training.seed,
        evaluate=Nearness(test, results.vgg, config.weighting),
        deviation=deviation,
    )


def graphs(
    net: Stylizer,
    *,
    contents: Sequence[NDArray[np.uint8]] = (),
    styles: Sequence[NDArray[np.uint8]] = (),
) -> Mapping[str, Graph]:
    """The two graphs of a stylizer: ``encode`` makes a style's code, ``main`` the picture.

    Args:
        net: in evaluation mode, its weights numbers of float16.
        contents: ``uint8[H, W, 3]`` each, of one size, to compare PyTorch and ONNX Runtime on,
            besides golden ones.
        styles: as many, likewise.
    """
    golden = golden_pictures(*_GOLDEN)
    codes = [_code(net, picture) for picture in (*golden[::-1], *styles)]
    pictures = [*golden, *contents]
    alphas = [1.0, 0.6, *np.linspace(1, 0.2, len(contents)).tolist()]
    items: list[Arrays] = [
        {"images": picture, "code": code, "alpha": np.array(alpha, np.float32)}
        for picture, code, alpha in zip(pictures, codes, alphas, strict=True)
    ]
    height, width = _GOLDEN
    example = torch.zeros(2, height, width, 3, dtype=torch.uint8)
    shown: list[Arrays] = [{"images": picture} for picture in (*golden, *styles)]
    return {
        "encode": Graph(
            module=Encode(net),
            example={"images": example},
            outputs=("code",),
            golden=shown[:2],
            checked=_by_size(shown),
            dynamic=_ANY_SIZE,
            precisions=("fp32",),
            tolerance=CODE_TOLERANCE,
            half_weights=True,
        ),
        "main": Graph(
            module=Main(net),
            example={
                "images": example,
                "code": torch.zeros(2, len(codes[0])),
                "alpha": torch.ones(2),
            },
            outputs=("stylized",),
            golden=items[:2],
            checked=_by_size(items),
            dynamic=_ANY_SIZE,
            precisions=("fp32",),
            tolerance=TOLERANCE,
            half_weights=True,
        ),
    }


class Nearness:
    """How near one variant's pictures come to contents and styles, through the service's session.

    Higher is better in a manifest, so a loss is told by its reciprocal.
    """

    def __init__(self, pairs: FixedPairs, vgg: nn.Module, weighting: Weighting) -> None:
        """Measure on ``pairs``, by the activations of ``vgg``."""
        self._pairs, self._vgg, self._weighting = pairs, vgg, weighting

    def __call__(self, sessions: Mapping[str, Session]) -> Sequence[Score]:
        """Run every style through ``encode`` and every content through ``main``."""
        found = []
        for at in range(len(self._pairs)):
            pair = self._pairs[at]
            (style,) = sessions["encode"].run([{"images": pair.style.numpy()}])
            item = {"images": pair.content.numpy(), "alpha": np.array(1, np.float32), **style}
            (answer,) = sessions["main"].run([item])
            made = torch.from_numpy(answer["stylized"][None])
            found.append(judge(made, pair.content[None], pair.style[None], self._vgg))
        quality = gathered_quality(found, self._weighting)
        values = {
            "nearness": (1 / quality.loss, True),
            "content_loss": (quality.content, False),
            "style_loss": (quality.style, False),
        }
        return [
            Score(name, round(value, 6), "pairs held out", "test", len(found), ranks)
            for name, (value, ranks) in values.items()
        ]


@torch.inference_mode()
def _code(net: Stylizer, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    code: NDArray[np.float32] = Encode(net)(torch.from_numpy(picture[None]))[0].numpy()
    return code


def _by_size(items: Sequence[Arrays]) -> list[Arrays]:
    """In an order in which batches of 1, 2 and 5 are each of one size: golden ones are two."""
    golden, others = list(items[:2]), list(items[2:])
    return [*others[:1], *golden, *others[1:]]


def _settings(config: Stylize, results: Results) -> Mapping[str, str | int | float | bool | None]:
    optimisation, training = config.optimisation, config.training
    return {
        "network": config.network,
        "parameters": results.figures()["parameters"],
        "weights": told_weights(config.weights),
        "side": config.side,
        "crop": config.crop,
        "views": config.views,
        "style_weight": config.weighting.style_weight,
        "smooth_weight": config.weighting.smooth_weight,
        "identity": config.identity,
        "samples": config.samples,
        "epochs": training.epochs,
        "batch_size": optimisation.batch_size,
        "optimizer": optimisation.optimizer,
        "lr": optimisation.lr,
        "precision": config.devices.precision,
        "machine": machine(config.devices),
        "minutes": round(results.outcome.seconds / 60),
    }


def _description(config: Stylize) -> str:
    return config.description or "The content of one picture in the style of another."


def _card(config: Stylize, results: Results, compared: int) -> Card:
    figures, weights = results.figures(), told_weights(config.weights)
    size = "" if config.network == "full" else ", at half the size of content and style for speed,"
    finish = "" if config.network == "full" else ", and convolutions that add what is finer"
    kind = (
        f"AdaIN{size} between VGG-19 and a decoder that also knows the finer statistics of a style"
        f"{finish}"
    )
    begun = f"starting from `{weights}`" if weights else "from random weights"
    return Card(
        summary=(
            f"{_description(config)} {kind}, {figures['parameters']:,} "
            f"parameters, trained {begun} on {config.training.epochs * config.samples:,} pairs of "
            f"{config.side}x{config.side} pixels in {figures['seconds'] / 60:.0f} minutes "
            f"on {machine(config.devices)}. Weights are stored in 16 bits and computed with in 32."
        ),
        use=config.use or _USE,
        data=(
            f"Trained on {figures['train_photographs']} photographs and "
            f"{figures['train_paintings']} paintings, by the loss of Gatys et al. on the "
            f"normalised VGG-19. The epoch was chosen on {len(results.gathered.held_out)} pairs of "
            f"others, and what came of it measured on {figures['test_pairs']} more. No picture of "
            "these is part of this folder: presets are codes, their thumbnails are what the model "
            "makes of a picture drawn by code, and so are the golden inputs."
        ),
        figures=f"{_figures(config, results)}\n\n{config.literature}".strip(),
        reference=(
            f"PyTorch, on {compared + 2} pairs in batches of 1, 2 and 5 (of pictures the share of "
            "pixels that are more than 2 of 255 levels apart, of codes the largest difference)"
        ),
    )


_USE = (
    "Gives a photograph colours and strokes of a painting. What it takes from a style is its "
    "statistics: palette, contrast and texture, not what is painted. Faces and writing lose "
    "detail. Respect the rights in pictures whose style or content you use."
)


def _figures(config: Stylize, results: Results) -> str:
    quality, weighting = results.quality, config.weighting
    style, smooth = weighting.style_weight, weighting.smooth_weight
    return (
        "`nearness` is one over the geometric mean of the pairs' losses: mean squared difference "
        f"of the content's features at `relu4_1`, {style:g} times that of Gram matrices at "
        f"`relu1_1` to `relu4_1`, {smooth:g} times the total variation; `content_loss` and "
        "`style_loss` are the means of the first two, unweighted. By PyTorch in float32: a loss of "
        f"{quality.loss:.3f}, of which content {quality.content:.3f} and style "
        f"{quality.style:.4f}."
    )
