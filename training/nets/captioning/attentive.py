"""Captions by an LSTM that looks at the picture again before every word."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from training.nets.captioning.decoder import Advance, Cell, Decoder, Memory, State, for_each


class SoftAttention(Decoder):
    """Show, Attend and Tell, soft attention (Xu et al., 2015, https://arxiv.org/abs/1502.03044).

    Before each word a small network weighs the places of the picture by the state so far, and
    their weighted mean, gated by the state, enters the LSTM beside the word. The word that comes
    next depends on the state and on what was seen (the paper's deep output).
    """

    attends: ClassVar[bool] = True

    def __init__(self, words: int, features: int, hidden: int = 512, dropout: float = 0.5) -> None:
        """Build it with random weights.

        Args:
            words: size of the vocabulary.
            features: channels of the features.
            hidden: size of the state, of a word, and of what is seen.
            dropout: on words, states and what is seen, while training.
        """
        super().__init__(words, features, hidden, dropout)
        self.project = nn.Sequential(nn.Linear(features, hidden), nn.ReLU())
        self.key, self.query = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)
        self.first_hidden, self.first_cell = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)
        self.gate = nn.Linear(hidden, hidden)
        self.cell = Cell(2 * hidden, hidden)
        self.tell = nn.Sequential(nn.Dropout(dropout), nn.Linear(3 * hidden, hidden), nn.Tanh())
        self._scale = hidden**-0.5

    def begin(self, features: Tensor, captions: int) -> tuple[Memory, State]:
        """Keep what is at each place, and begin with the mean of all."""
        values = self.dropout(self.project(features))
        mean = values.mean(1)
        hidden, cell = torch.tanh(self.first_hidden(mean)), torch.tanh(self.first_cell(mean))
        memory = (values, self.key(values).transpose(1, 2) * self._scale)
        return memory, (for_each(captions, hidden), for_each(captions, cell))

    def read(self, embedded: Tensor, memory: Memory, state: State) -> Advance:
        """Look at the picture by the state, then read one word of each caption."""
        values, keys = memory
        before, _ = state
        attention = (self.query(before) @ keys).float().softmax(-1)
        seen = torch.sigmoid(self.gate(before)) * (attention.to(values.dtype) @ values)
        state = self.cell(torch.cat([embedded, seen], -1), state)
        return Advance(state, torch.cat([embedded, seen, state[0]], -1), attention)
