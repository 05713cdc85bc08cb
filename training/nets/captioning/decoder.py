"""What turns a picture's features into words, one word after the other."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from training.data.vocabulary import END, UNKNOWN

State = tuple[Tensor, Tensor]
"""Hidden state and cell of an LSTM, each ``float[N, K, hidden]``."""

Memory = tuple[Tensor, ...]
"""What a decoder keeps of the pictures themselves, each ``float[N, ...]``."""


@dataclass(frozen=True, slots=True)
class Advance:
    """What a decoder comes to by reading a word.

    Attributes:
        state: to go on with.
        thought: ``float[N, K, thought]``, of which the next word is told.
        attention: ``float[N, K, P]``, where it looked, summing to 1; ``None`` if it does not look.
    """

    state: State
    thought: Tensor
    attention: Tensor | None


class Decoder(nn.Module, ABC):
    """The recurrent half of a captioner.

    It works on ``K`` captions of each of ``N`` pictures at a time: the five of a training picture,
    or the hypotheses of a beam search. A subclass has a network ``tell``: ``float[..., thought]``
    -> ``float[..., embedding]``.

    Attributes:
        features: channels of the features it takes.
        words: size of the vocabulary; word 0 stands for the beginning and the end of a caption.
        attends: whether it looks at places of the picture for each word.
    """

    attends: ClassVar[bool] = False
    tell: nn.Module

    def __init__(self, words: int, features: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.words, self.features = words, features
        self.embedding = nn.Embedding(words, embedding)
        self.dropout = nn.Dropout(dropout)
        self.scores = nn.Linear(embedding, words)
        self.scores.weight = self.embedding.weight  # tied, https://arxiv.org/abs/1608.05859
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        nn.init.zeros_(self.scores.bias)

    @abstractmethod
    def begin(self, features: Tensor, captions: int) -> tuple[Memory, State]:
        """Look at the pictures.

        Args:
            features: ``float[N, P, features]``, ``P`` places of each.
            captions: ``K``, how many captions each picture is to have.
        """

    @abstractmethod
    def read(self, embedded: Tensor, memory: Memory, state: State) -> Advance:
        """Read one word of each caption, ``float[N, K, embedding]``."""

    def score(self, thoughts: Tensor) -> Tensor:
        """Score every word as the next: ``float[..., thought]`` -> ``float[..., words]``."""
        scores: Tensor = self.scores(self.dropout(self.tell(thoughts)))
        return scores

    def forward(
        self, features: Tensor, words: Tensor, counts: Tensor, own_words: float = 0.0
    ) -> Tensor:
        """Score the next words of captions that are known (teacher forcing).

        Args:
            features: ``float[N, P, features]``.
            words: ``int64[N, K, L]``, the first of which is 0.
            counts: ``bool[N, K, L]``, after which of them the next word is asked for.
            own_words: how likely each word, but the first, is replaced by one the decoder draws
                itself (scheduled sampling, Bengio et al., 2015, https://arxiv.org/abs/1506.03099).

        Returns:
            ``float[M, words]`` for the ``M`` words that count, in the order of ``counts``.
        """
        memory, state = self.begin(features, words.shape[1])
        embedded = self.dropout(self.embedding(words))
        thoughts: list[Tensor] = []
        for position in range(words.shape[2]):
            word = embedded[:, :, position]
            if own_words and thoughts:
                word = torch.where(
                    torch.rand_like(word[..., :1]) < own_words, self._own(thoughts[-1]), word
                )
            advance = self.read(word, memory, state)
            state = advance.state
            thoughts.append(advance.thought)
        return self.score(torch.stack(thoughts, 2)[counts])

    def draw(self, features: Tensor, captions: int, longest: int) -> Tensor:
        """Draw captions by their probability.

        Args:
            features: ``float[N, P, features]``.
            captions: ``K``, of each picture.
            longest: ``L``, the most words of one.

        Returns:
            ``int64[N, K, L]``, 0 from the end on; no word is ``<unk>``. One of ``L`` words is cut.
        """
        memory, state = self.begin(features, captions)
        last = torch.zeros(len(features), captions, dtype=torch.int64, device=features.device)
        drawn: list[Tensor] = []
        for _ in range(longest):
            advance = self.read(self.embedding(last), memory, state)
            state = advance.state
            word = self._drawn(advance.thought)
            last = word * (last != END) if drawn else word
            drawn.append(last)
        return torch.stack(drawn, 2)

    def _drawn(self, thought: Tensor) -> Tensor:
        """A word by its probability among those that are known, ``int64[N, K]``."""
        likely = known(self.score(thought).float()).softmax(-1)
        return torch.multinomial(likely.flatten(0, 1), 1).reshape(likely.shape[:2])

    def _own(self, thought: Tensor) -> Tensor:
        """The embedding of a word that is drawn, of which no gradient leads back."""
        with torch.no_grad():
            word = self._drawn(thought)
        own: Tensor = self.dropout(self.embedding(word))
        return own


def known(scores: Tensor) -> Tensor:
    """Scores ``float[..., words]`` by which ``<unk>`` never comes, as in a beam search."""
    is_unknown = torch.arange(scores.shape[-1], device=scores.device) == UNKNOWN
    return scores.masked_fill(is_unknown, -torch.inf)


def for_each(captions: int, state: Tensor) -> Tensor:
    """The same state for each of ``K`` captions: ``[N, hidden]`` -> ``[N, K, hidden]``."""
    return state[:, None].expand(-1, captions, -1)


class Cell(nn.Module):
    """An LSTM cell over the last dimension; its forget gates are open at first."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.gates = nn.Linear(inputs + hidden, 4 * hidden)
        nn.init.xavier_uniform_(self.gates.weight)
        nn.init.zeros_(self.gates.bias)
        with torch.no_grad():  # https://proceedings.mlr.press/v37/jozefowicz15.html
            self.gates.bias[hidden : 2 * hidden] = 1

    def forward(self, inputs: Tensor, state: State) -> State:
        """``float[..., inputs]`` and the state before -> the state after."""
        hidden, cell = state
        enter, keep, leave, value = self.gates(torch.cat([inputs, hidden], -1)).chunk(4, -1)
        cell = torch.sigmoid(keep) * cell + torch.sigmoid(enter) * torch.tanh(value)
        return torch.sigmoid(leave) * torch.tanh(cell), cell
