"""From a trained captioner to what ``training.export`` takes, words included."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from service.session import Arrays, Session, split, stack
from service.tasks.caption import deviation
from training.data.caption_examples import CaptionExamples
from training.data.order import evenly
from training.data.pictures import prepare
from training.devices import machine
from training.exportable import Asset, Card, Exportable, Graph, Score
from training.golden import golden_candidates
from training.how_trained import how_trained
from training.made_by import told_weights
from training.nets.captioning.captioner import OUTPUTS, Captioner
from training.nets.folding import fold_norms
from training.stored_half import round_weights
from training.tasks.caption.config import Caption
from training.tasks.caption.metrics import Quality, measure
from training.tasks.caption.predict import captions_with, limit, references
from training.tasks.caption.train import Results

#: Of the scores, which are means of logarithms; captions must be the same.
TOLERANCE = 1e-3
#: Most test pictures on which PyTorch and ONNX Runtime must find the same captions. Of thousands,
#: some have two captions as likely but for rounding.
_COMPARED = 100
#: How near the second best caption of a golden picture may come to the best.
_STEADY = 0.02


def publish(config: Caption, results: Results, command: str) -> Exportable:
    """Describe a trained captioner for export; its weights are rounded to float16.

    Args:
        config: what it was trained with.
        results: of that training.
        command: that makes it again, for the card.
    """
    gathered = results.gathered
    test = [_item(gathered.test, at, config.longest) for at in range(len(gathered.test))]
    geometry = gathered.geometry
    checked = [test[at] for at in evenly(len(test), _COMPARED)]
    made = graph(results.module, geometry.height, geometry.width, checked=checked)
    return Exportable(
        name=config.name,
        version="1",
        task="caption",
        description=_description(config, results),
        graphs={"main": made},
        input=geometry,
        card=_card(config, results, compared=len(made.checked)),
        command=command,
        data=(results.begun, *gathered.sources),
        licence=config.licence,
        default=config.default,
        assets={"vocabulary": Asset("vocabulary.txt", gathered.vocabulary.written())},
        config=_settings(config, results),
        seed=config.training.seed,
        evaluate=_Agreement(test, gathered.test, gathered.dataset),
        deviation=deviation,
    )


def graph(module: Captioner, height: int, width: int, *, checked: Sequence[Arrays] = ()) -> Graph:
    """A captioner's graph.

    Args:
        module: to export, in evaluation mode. The backbone's normalisations are folded into its
            convolutions, as the exporter does, and then all weights rounded to float16.
        height: of its input.
        width: of its input.
        checked: pictures to compare PyTorch and ONNX Runtime on, besides golden ones.
    """
    fold_norms(module.backbone, torch.zeros(1, 3, height, width))
    round_weights(module)
    golden = _golden(module, height, width)
    return Graph(
        module=module,
        example={
            "images": torch.zeros(2, height, width, 3, dtype=torch.uint8),
            "max_length": torch.full((2,), module.search.longest, dtype=torch.int32),
        },
        outputs=(*OUTPUTS, "attention") if module.search.decoder.attends else OUTPUTS,
        golden=golden,
        checked=[*golden, *checked],
        precisions=("fp32",),
        tolerance=TOLERANCE,
        half_weights=True,
    )


class _Agreement:
    """How captions of one variant agree with people's, through the service's session."""

    def __init__(self, pictures: Sequence[Arrays], examples: CaptionExamples, dataset: str) -> None:
        self._pictures, self._examples, self._dataset = pictures, examples, dataset

    def __call__(self, sessions: Mapping[str, Session]) -> Sequence[Score]:
        """Run every picture through the ``main`` graph."""
        found = captions_with(sessions["main"], self._pictures, self._examples)
        quality = measure(found, references(self._examples), resamples=0)
        values = {
            **{f"bleu{order}": value / 100 for order, value in enumerate(quality.bleu, 1)},
            "cider": quality.cider,
            "rouge_l": quality.rouge_l / 100,
        }
        return [
            Score(name, round(value, 6), self._dataset, "test", len(found))
            for name, value in values.items()
        ]


def _golden(module: Captioner, height: int, width: int) -> list[Arrays]:
    """Two drawn pictures to record the captions of; the second has a limit that cuts its caption.

    The best caption of each is well ahead, or as far as that of any, so that another machine's
    rounding does not put another one first.
    """
    longest = module.search.longest
    candidates = golden_candidates(height, width)
    golden: list[Arrays] = []
    for most in (longest, max(1, longest // 3)):
        leads: list[float] = []
        for picture in candidates:
            scores = _run(module, picture, most)["scores"]
            leads.append(float(scores[0] - scores[1]) if len(scores) > 1 else float("inf"))
            if leads[-1] > _STEADY:
                break
        picture = candidates.pop(leads.index(max(leads)))
        golden.append({"images": picture, "max_length": limit(most)})
    return golden


def _run(module: Captioner, picture: NDArray[np.uint8], most: int) -> Arrays:
    with torch.inference_mode():
        outputs = module(torch.from_numpy(stack([picture])), torch.tensor([most]))
    named = zip((*OUTPUTS, "attention"), outputs, strict=False)
    return split({name: tensor.numpy() for name, tensor in named}, 1)[0]


def _item(examples: CaptionExamples, index: int, longest: int) -> Arrays:
    """The graph's inputs for one picture."""
    pixels = prepare(examples.captioned.items[index].path, examples.geometry)
    return {"images": pixels, "max_length": limit(longest)}


def _settings(config: Caption, results: Results) -> Mapping[str, str | int | float | bool | None]:
    return {
        "network": config.network,
        "backbone": config.backbone,
        "parameters": results.figures()["parameters"],
        "weights": told_weights(config.weights),
        "tuned_stages": config.tuned_stages,
        "height": config.height,
        "width": config.width,
        "views": config.views,
        "hidden": config.hidden,
        "dropout": config.dropout,
        "label_smoothing": config.label_smoothing,
        "own_words": config.own_words,
        "self_critical_epochs": config.self_critical_epochs,
        "beams": config.beams,
        "length_penalty": config.length_penalty,
        **how_trained(
            config.training, config.optimisation, config.devices, results.outcome.seconds
        ),
    }


def _description(config: Caption, results: Results) -> str:
    if config.description:
        return config.description
    kind = "an LSTM with attention" if config.network == "attention" else "an LSTM"
    return f"Describes pictures like those of {results.gathered.dataset}, by {kind}."


def _card(config: Caption, results: Results, compared: int) -> Card:
    gathered, figures = results.gathered, results.figures()
    return Card(
        summary=(
            f"{_description(config, results)} `{config.backbone}` with the weights "
            f"`{told_weights(config.weights)}` and a decoder `{config.network}`, "
            f"{figures['parameters']:,} parameters in all, pictures of "
            f"{config.width}x{config.height}, {figures['vocabulary']:,} words; trained for "
            f"{config.training.epochs} epochs in {figures['seconds'] / 60:.0f} minutes on "
            f"{machine(config.devices)}, the time for the backbone's features left out. Weights "
            "are stored in 16 bits and computed with in 32."
        ),
        use=config.use or _USE,
        data=(
            f"Trained on {len(gathered.train)} pictures. The epoch was chosen on "
            f"{len(gathered.held_out)} others, and what came of it measured on "
            f"{results.served.pictures} test pictures that played no part in either. No picture of "
            "the set is part of this folder; the golden inputs are drawn by code. The vocabulary "
            f"holds words that people wrote at least {config.min_count} times."
        ),
        figures=f"{_figures(results)}\n\n{config.literature}".strip(),
        reference=(
            f"PyTorch, on {compared} pictures in batches of 1, 2 and 5 (the best captions must be "
            "the same; the number is the largest difference of a score or of an attention weight)"
        ),
    )


_USE = (
    "Says in a sentence what a photograph shows. It knows scenes like those it was trained on and "
    "describes everything in their words: other things are taken for what is nearest to them, and "
    "details (colours, numbers, what someone does) are often made up. Not for people who must rely "
    "on what they cannot see, nor for decisions about people: it repeats what people assumed of "
    "each other in the captions it learned from."
)


def _figures(results: Results) -> str:
    low, high = results.served.bleu4_interval
    rows = "\n".join(_row(beams, quality, results) for beams, quality in results.quality.items())
    return (
        "`bleu1` to `bleu4`, `rouge_l` (0 to 1) and `cider` (CIDEr-D, 0 to 10) are those of "
        "pycocoevalcap on words in lower case without punctuation, of one caption of each test "
        "picture against those people wrote. Another draw of as many test pictures would give, 95 "
        f"times of 100, a BLEU-4 of {low:.1f} to {high:.1f} (bootstrap over pictures). By PyTorch "
        "in float32, in percent but for CIDEr-D; * is what is served:\n\n"
        "| beams | BLEU-1 | BLEU-2 | BLEU-3 | BLEU-4 | CIDEr-D | ROUGE-L | words a caption |\n"
        f"| --- | --- | --- | --- | --- | --- | --- | --- |\n{rows}"
    )


def _row(beams: int, quality: Quality, results: Results) -> str:
    mark = " *" if beams == results.beams else ""
    bleu = " | ".join(f"{value:.1f}" for value in quality.bleu)
    return (
        f"| {beams}{mark} | {bleu} | {quality.cider:.3f} | {quality.rouge_l:.1f} | "
        f"{quality.length:.1f} |"
    )
