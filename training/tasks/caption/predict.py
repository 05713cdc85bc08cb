"""Captions of pictures, by a network or by a graph."""

from collections.abc import Sequence

import numpy as np
import torch

from service.session import Arrays, Session
from training.data.caption_examples import CaptionExamples
from training.data.order import WHOLE
from training.data.words import lowered
from training.nets.captioning.beam import BeamSearch
from training.nets.captioning.net import CaptionNet
from training.recipe import Part

_AT_ONCE = 32

Words = list[str]


def captions(
    net: CaptionNet, search: BeamSearch, examples: CaptionExamples, part: Part = WHOLE
) -> list[Words]:
    """The best caption of every picture, or of one process's part of them.

    Args:
        net: that sees the pictures, in evaluation mode.
        search: through what its decoder says.
        examples: of which the plain view is shown.
        part: this process; of ``world`` pictures it takes one.
    """
    device = next(net.parameters()).device
    mine = range(part.rank, len(examples), part.world)
    found = []
    for start in range(0, len(mine), _AT_ONCE):
        inputs = [examples.inputs.plain(index) for index in mine[start : start + _AT_ONCE]]
        with torch.inference_mode():
            seen = net.see(torch.stack(inputs).to(device))
            limits = torch.full((len(inputs),), search.longest, device=device)
            tokens = search(seen, limits).tokens[:, 0].tolist()
        found += [examples.vocabulary.decode(each) for each in tokens]
    return found


def captions_with(
    session: Session, pictures: Sequence[Arrays], examples: CaptionExamples
) -> list[Words]:
    """The best caption of each of ``pictures`` by a graph.

    Args:
        session: of the graph.
        pictures: its inputs, without the batch dimension.
        examples: whose vocabulary it is.
    """
    found = []
    for picture in pictures:
        outputs = session.run([picture], lone=True)[0]
        found.append(examples.vocabulary.decode(outputs["tokens"][0].tolist()))
    return found


def limit(longest: int) -> np.ndarray[tuple[()], np.dtype[np.int32]]:
    """The graph's ``max_length`` of one picture."""
    return np.array(longest, np.int32)


def references(examples: CaptionExamples) -> list[list[Words]]:
    """The words of every picture's true captions."""
    return [[lowered(caption) for caption in item.captions] for item in examples.captioned.items]
