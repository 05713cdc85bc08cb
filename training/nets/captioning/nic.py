"""Neural Image Caption: a picture begins the sentence an LSTM goes on with."""

from torch import Tensor, nn

from training.nets.captioning.decoder import Advance, Cell, Decoder, Memory, State, for_each


class NeuralImageCaption(Decoder):
    """Show and Tell (Vinyals et al., 2015, https://arxiv.org/abs/1411.4555).

    The mean of the features, projected to the size of a word, is the LSTM's first input; words
    follow, and the picture is not seen again.
    """

    def __init__(self, words: int, features: int, hidden: int = 512, dropout: float = 0.5) -> None:
        """Build it with random weights.

        Args:
            words: size of the vocabulary.
            features: channels of the features.
            hidden: size of the state, and of a word.
            dropout: on words and states, while training.
        """
        super().__init__(words, features, hidden, dropout)
        self.project = nn.Linear(features, hidden)
        self.cell = Cell(hidden, hidden)
        self.tell = nn.Identity()

    def begin(self, features: Tensor, captions: int) -> tuple[Memory, State]:
        """Feed the picture in the place of a word; nothing of it is kept besides the state."""
        picture = self.dropout(self.project(features.mean(1)))
        nothing = picture.new_zeros(picture.shape)
        hidden, cell = self.cell(picture, (nothing, nothing))
        return (), (for_each(captions, hidden), for_each(captions, cell))

    def read(self, embedded: Tensor, memory: Memory, state: State) -> Advance:  # noqa: ARG002
        """Read one word of each caption, ``float[N, K, embedding]``."""
        state = self.cell(embedded, state)
        return Advance(state, state[0], None)
