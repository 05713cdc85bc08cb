"""What the training loop needs to train a captioner."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.data.caption_examples import NOTHING, Batch, CaptionExamples, collate
from training.data.order import WHOLE, Order, batches
from training.data.vocabulary import END
from training.nets.captioning.beam import BeamSearch
from training.nets.captioning.decoder import known
from training.nets.captioning.net import CaptionNet
from training.optimisation import Optimisation, optimizer
from training.recipe import Objective, Part, Recipe
from training.shares import of_all
from training.tasks.caption.config import Caption
from training.tasks.caption.metrics import measure
from training.tasks.caption.predict import captions, references
from training.tasks.caption.reward import Consensus


class CaptionRecipe(Recipe):
    """The likelihood of true captions, then the consensus of drawn ones; CIDEr chooses.

    In the last ``self_critical_epochs`` captions are drawn, and each is made likelier by as much as
    its CIDEr-D is above that of the others drawn for the picture (Rennie et al., 2017,
    https://arxiv.org/abs/1612.00563, with the baseline of Luo, 2020,
    https://arxiv.org/abs/2003.09971).
    """

    monitor: ClassVar[str] = "cider"
    higher_is_better: ClassVar[bool] = True

    def __init__(
        self,
        net: CaptionNet,
        stages: tuple[tuple[str, ...], ...],
        train: CaptionExamples,
        held_out: CaptionExamples,
        config: Caption,
    ) -> None:
        """Put a training together.

        Args:
            net: to train; parameters that need no gradient stay as they are.
            stages: prefixes of its parameters, from the input to the output.
            train: pictures to learn from.
            held_out: pictures to choose the best epoch by.
            config: the rest.
        """
        self._train, self._held_out, self._config = train, held_out, config
        self._optimisation: Optimisation = config.optimisation
        self._epoch, self._part = 0, WHOLE
        self._consensus: Consensus | None = None
        self._net = net
        self.networks = {"net": net}
        self.optimizers = {"main": optimizer(net, stages, self._optimisation)}

    @property
    def batches_per_epoch(self) -> int:
        """Full batches in the training pictures."""
        return len(self._train) // min(self._optimisation.batch_size, len(self._train))

    def begin_epoch(self, epoch: int) -> None:
        """Know what is trained for in this one."""
        self._epoch = epoch
        if self._is_self_critical and self._consensus is None:
            self._consensus = Consensus(self._train.numbers)

    def batches(self, epoch: int, first: int, part: Part) -> Iterable[Batch]:
        """Batches of varied pictures and their captions, in an order the seed and epoch give."""
        self._train.set_epoch(epoch)
        self._part = part
        size, seed = self._optimisation.batch_size, self._config.training.seed
        order = Order(len(self._train), size, seed=seed, epoch=epoch, first=first, part=part)
        return batches(self._train, order, collate, self._config.workers)

    def update(self, batch: Any, networks: Mapping[str, nn.Module]) -> Iterator[Objective]:
        """Yield the loss of a batch."""
        examples = Batch(*batch)
        if self._is_self_critical:
            yield self._drawn(examples, networks["net"])
        else:
            yield self._told(examples, networks["net"])

    def evaluate(self, networks: Mapping[str, nn.Module], part: Part) -> Mapping[str, float]:
        """CIDEr and BLEU-4 of the captions a beam search finds, on the held-out pictures."""
        net = networks["net"]
        assert isinstance(net, CaptionNet)
        config = self._config
        search = BeamSearch(net.decoder, config.beams, config.longest, config.length_penalty)
        found = of_all(captions(net, search, self._held_out, part), part)
        quality = measure(found, references(self._held_out), resamples=0)
        return {"cider": quality.cider, "bleu4": quality.bleu[3], "words": quality.length}

    @property
    def _is_self_critical(self) -> bool:
        return self._epoch >= self._config.training.epochs - self._config.self_critical_epochs

    @property
    def _own_words(self) -> float:
        """Rises from 0 to what is configured over the epochs of likelihood."""
        epochs = self._config.training.epochs - self._config.self_critical_epochs
        return self._config.own_words * self._epoch / max(1, epochs - 1)

    def _told(self, batch: Batch, net: nn.Module) -> Objective:
        """Cross-entropy of the words of true captions."""
        counts = batch.targets != NOTHING
        scores = net(batch.inputs, batch.words, counts, self._own_words)
        targets = batch.targets[counts]
        smoothing = self._config.label_smoothing
        each = functional.cross_entropy(
            scores.float(), targets, label_smoothing=smoothing, reduction="none"
        )
        right = (scores.detach().argmax(-1) == targets).float().mean()
        return Objective(self._mean(each), logged={"words_right": right})

    def _drawn(self, batch: Batch, net: nn.Module) -> Objective:
        """What raises the worth of captions that are drawn."""
        assert self._consensus is not None
        count, own = self._config.captions, self._net
        own.decoder.eval()
        with torch.no_grad(), self._autocast(batch.inputs.device):  # so it may be called unwrapped
            drawn = own.decoder.draw(own.see(batch.inputs), count, self._config.longest)
        own.decoder.train()
        counts = (drawn != END) | (functional.pad(drawn, (1, 0), value=-1)[..., :-1] != END)
        told = [
            [words[: int(length)] for words, length in zip(each, lengths, strict=True)]
            for each, lengths in zip(drawn.tolist(), counts.sum(-1).tolist(), strict=True)
        ]
        worth = torch.from_numpy(self._consensus(batch.indices.tolist(), told)).to(drawn.device)
        others = (worth.sum(1, keepdim=True) - worth) / (count - 1)
        above = (worth - others).float()[..., None].expand(counts.shape)[counts]
        words = functional.pad(drawn, (1, 0), value=END)[..., :-1]
        scores = known(net(batch.inputs, words, counts).float()).log_softmax(-1)
        likely = scores.gather(1, drawn[counts][:, None])[:, 0]
        logged = {"drawn_cider": float(worth.mean())}
        return Objective(self._mean(-above * likely), logged=logged)

    def _mean(self, each: Tensor) -> Tensor:
        """The mean over the words of the whole batch, of which each process has others.

        So the mean of the processes' gradients is that of the whole batch.
        """
        count = torch.tensor(float(len(each)), device=each.device)
        if self._part.world > 1:
            torch.distributed.all_reduce(count)
            count /= self._part.world
        return each.sum() / count

    def _autocast(self, device: torch.device) -> torch.autocast:
        """The precision that is configured."""
        precision = self._config.devices.precision
        kind = torch.float16 if precision == "16-mixed" else torch.bfloat16
        return torch.autocast(device.type, kind, enabled=precision.endswith("-mixed"))
