"""A captioner in training: a decoder, and a backbone where that is trained too."""

from torch import Tensor, nn

from training.nets.captioning.backbones import Backbone, places
from training.nets.captioning.decoder import Decoder
from training.nets.pixels import Pixels


class CaptionNet(nn.Module):
    """Scores the words of known captions, from pictures or from features of them."""

    def __init__(
        self, decoder: Decoder, backbone: Backbone | None = None, pixels: Pixels | None = None
    ) -> None:
        """Put it together.

        Args:
            decoder: of features.
            backbone: that makes them of pictures; without one, features are what comes in.
            pixels: how the backbone's are normalised.
        """
        super().__init__()
        self.decoder, self.backbone, self.pixels = decoder, backbone, pixels

    def see(self, inputs: Tensor) -> Tensor:
        """Features ``float32[N, P, D]`` of ``uint8[N, H, W, 3]``, or of ``float16[N, P, D]``."""
        if self.backbone is None or self.pixels is None:
            return inputs.float()
        return places(self.backbone(self.pixels(inputs))).float()

    def forward(
        self, inputs: Tensor, words: Tensor, counts: Tensor, own_words: float = 0.0
    ) -> Tensor:
        """See ``see`` for the inputs and ``Decoder.forward`` for the rest."""
        scores: Tensor = self.decoder(self.see(inputs), words, counts, own_words)
        return scores
