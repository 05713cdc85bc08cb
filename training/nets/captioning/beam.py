"""Beam search: the likeliest captions, found a word at a time."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.data.vocabulary import END, UNKNOWN
from training.nets.captioning.decoder import Advance, Decoder, Memory

#: Of a hypothesis that is none yet; any that is one is likelier, and none that breaks a rule is.
_NONE = -1e9


@dataclass(frozen=True, slots=True)
class Found:
    """The captions of a beam search, the best first.

    Attributes:
        tokens: ``int64[N, B, T]``, words of the vocabulary, 0 from the end on.
        lengths: ``int64[N, B]``, words before the end.
        scores: ``float[N, B]``, log-probability by ``(words + 1) ** length_penalty``; of minus
            infinity where there are fewer captions than beams.
        attention: ``float[N, B, T, P]``, where each word looked, 0 from the end on; ``None`` if the
            decoder does not look.
    """

    tokens: Tensor
    lengths: Tensor
    scores: Tensor
    attention: Tensor | None


class BeamSearch(nn.Module):
    """Finds the captions that a decoder thinks likeliest.

    Every step keeps the ``beams`` best of all hypotheses, by log-probability over length; one that
    has ended competes on as it is. The end always ends a caption of ``max_length`` words. The
    search stops once every hypothesis has ended, so that what is found for a picture does not
    depend on its batch.

    As a graph it is one loop (``torch.while_loop``).
    """

    def __init__(
        self, decoder: Decoder, beams: int, longest: int, length_penalty: float = 1.0
    ) -> None:
        """Search with ``decoder``.

        Args:
            decoder: in evaluation mode.
            beams: ``B``, hypotheses that are kept; 1 is greedy.
            longest: ``T``, the most words of a caption.
            length_penalty: 0 prefers short captions, 1 the best mean word.
        """
        super().__init__()
        self.decoder = decoder
        self.beams, self.longest, self.length_penalty = beams, longest, length_penalty

    def forward(self, features: Tensor, max_length: Tensor) -> Found:
        """Describe pictures.

        Args:
            features: ``float[N, P, features]``.
            max_length: ``int[N]``, the most words of each picture's captions; ``T`` if it is more.
        """
        memory, (hidden, cell) = self.decoder.begin(features, self.beams)
        count, device = features.shape[0], features.device
        ranks = torch.arange(self.beams, device=device).expand(count, -1)
        carried: tuple[Tensor, ...] = (
            torch.zeros((), dtype=torch.int64, device=device),
            torch.zeros(count, self.beams, self.longest, dtype=torch.int64, device=device),
            torch.where(ranks == 0, 0.0, _NONE),  # all hypotheses are one to begin with
            torch.zeros_like(ranks),
            torch.zeros_like(ranks, dtype=torch.bool),
            torch.zeros_like(ranks),
            hidden.contiguous(),
            cell.contiguous(),
        )
        if self.decoder.attends:
            nowhere = features.new_zeros(count, self.beams, self.longest, features.shape[1])
            carried = (*carried, nowhere)
        limits = max_length.to(torch.int64).clamp(max=self.longest)[:, None]

        def go_on(*carried: Tensor) -> Tensor:
            return ~carried[4].all()

        def advance(*carried: Tensor) -> tuple[Tensor, ...]:
            return self._advance(memory, limits, *carried)

        if torch.compiler.is_exporting():
            carried = torch.while_loop(go_on, advance, carried)  # type: ignore[no-untyped-call]
        else:
            while go_on(*carried):
                carried = advance(*carried)
        _, tokens, sums, lengths, *_ = carried
        scores = torch.where(sums > _NONE / 2, sums / self._divisor(lengths + 1), -torch.inf)
        return Found(tokens, lengths, scores, carried[-1] if self.decoder.attends else None)

    def _divisor(self, terms: Tensor) -> Tensor:
        return terms.float() ** self.length_penalty

    def _advance(
        self,
        memory: Memory,
        limits: Tensor,
        position: Tensor,
        tokens: Tensor,
        sums: Tensor,
        lengths: Tensor,
        ended: Tensor,
        last: Tensor,
        hidden: Tensor,
        cell: Tensor,
        *attention: Tensor,
    ) -> tuple[Tensor, ...]:
        """One word more for every hypothesis that has not ended."""
        decoder = self.decoder
        advance = decoder.read(decoder.embedding(last), memory, (hidden, cell))
        vocabulary = torch.arange(decoder.words, device=tokens.device)
        is_end = vocabulary == END
        may_follow = (vocabulary != UNKNOWN) & (is_end | (position < limits)[..., None])
        likely = decoder.score(advance.thought).float().log_softmax(-1)
        likely = torch.where(may_follow, likely, -torch.inf)
        likely = torch.where(ended[..., None], torch.where(is_end, 0.0, -torch.inf), likely)
        totals = (sums[..., None] + likely).flatten(1)
        divisor = self._divisor(torch.where(ended, lengths, position) + 1)
        ranked = (totals.reshape(likely.shape) / divisor[..., None]).flatten(1)
        _, chosen = ranked.topk(self.beams)
        parent, word = chosen // decoder.words, chosen % decoder.words
        here = torch.arange(self.longest, device=tokens.device) == position
        tokens = torch.where(here, word[..., None], _of(tokens, parent))
        lengths = _of(lengths, parent) + (word != END)
        after, within = advance.state
        return (
            position + 1,
            tokens,
            totals.gather(1, chosen),
            lengths,
            word == END,
            word,
            _of(after, parent),
            _of(within, parent),
            *(_looked(advance, parent, word, here, before) for before in attention),
        )


def _looked(advance: Advance, parent: Tensor, word: Tensor, here: Tensor, before: Tensor) -> Tensor:
    """Where each hypothesis looked, with this step's word among the others."""
    assert advance.attention is not None
    now = _of(advance.attention, parent) * (word != END)[..., None]
    return torch.where(here[:, None], now[:, :, None], _of(before, parent))


def _of(values: Tensor, parent: Tensor) -> Tensor:
    """Each hypothesis's value from the one it goes on from: ``[N, B, ...]`` by ``int64[N, B]``."""
    index = parent.reshape(*parent.shape, *([1] * (values.ndim - 2))).expand(
        -1, -1, *values.shape[2:]
    )
    return values.gather(1, index)
