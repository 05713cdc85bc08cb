"""Decoders that were never trained but are sure of what they say, small enough for brute force."""

import torch
from torch import Tensor, nn

from training.data.vocabulary import END, UNKNOWN
from training.nets.captioning.attentive import SoftAttention
from training.nets.captioning.decoder import Decoder
from training.nets.captioning.nic import NeuralImageCaption

FEATURES, HIDDEN = 6, 8
KINDS = {"nic": NeuralImageCaption, "attention": SoftAttention}


def random_decoder(kind: str, words: int, seed: int = 0, end: float = 0.0) -> Decoder:
    """In evaluation mode.

    Args:
        kind: one of ``KINDS``.
        words: size of the vocabulary.
        seed: of the weights.
        end: what the score of the end is raised by.
    """
    torch.manual_seed(seed)
    decoder = KINDS[kind](words, FEATURES, hidden=HIDDEN)
    with torch.no_grad():
        for parameter in decoder.parameters():
            nn.init.normal_(parameter, std=0.6)
        decoder.scores.bias[END] += end
    return decoder.eval()


def random_features(pictures: int, places: int = 5, seed: int = 1) -> Tensor:
    """``float32[pictures, places, FEATURES]``."""
    return torch.randn(pictures, places, FEATURES, generator=torch.Generator().manual_seed(seed))


def told(decoder: Decoder, features: Tensor, caption: list[int]) -> float:
    """The log-probability of a caption of a picture, its end included, by teacher forcing."""
    words = torch.tensor([[[END, *caption]]])
    with torch.inference_mode():
        scores = decoder(features[None], words, torch.ones_like(words, dtype=torch.bool))
    likely = scores.log_softmax(-1)
    return float(sum(likely[at, word] for at, word in enumerate([*caption, END])))


def only_known(tokens: Tensor) -> bool:
    """Whether no word is ``<unk>``."""
    return not bool((tokens == UNKNOWN).any())
