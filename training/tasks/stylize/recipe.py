"""What the training loop needs to train a network that stylizes."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from training.data.order import Order, batches
from training.data.style_pictures import FixedPairs, Pair, StylePairs, collate
from training.nets.style.stylizer import Stylizer, pixels_of
from training.nets.style.vgg import ENCODED, Vgg19
from training.optimisation import optimizer
from training.recipe import Objective, Part, Recipe
from training.shares import of_all
from training.tasks.stylize.config import Stylize
from training.tasks.stylize.objective import Aim
from training.tasks.stylize.targets import Targets

#: Of pixels below 0 or above 1, which are cut off and so get no other gradient.
_OUTSIDE = 20.0
#: Of the pixels' squared error, where a picture is to stay as it is.
_SAME_PIXELS = 20.0


class StylizeRecipe(Recipe):
    """The loss of Gatys et al., on the output of a network (Johnson et al., 2016).

    Johnson et al. (https://arxiv.org/abs/1603.08155) train a network to lower the loss that Gatys
    et al. lower picture by picture. Here the network knows any style by its code, as with Huang and
    Belongie (2017), and is trained by what it will be judged by. It is judged by the share of pairs
    on which its loss is no greater than the optimisation's, so what counts is by which factor it
    differs: the logarithm of each pair's loss is lowered. Otherwise a few styles of strong
    contrast, whose Gram matrices are a hundred times larger, would be all that is learned.
    """

    monitor: ClassVar[str] = "loss"
    higher_is_better: ClassVar[bool] = False

    def __init__(
        self,
        net: Stylizer,
        vgg: Vgg19,
        train: StylePairs,
        held_out: FixedPairs,
        targets: Targets,
        config: Stylize,
    ) -> None:
        """Put a training together.

        Args:
            net: to train; parameters that need no gradient stay as they are.
            vgg: gives the activations of ENCODED; it stays as it is.
            train: pairs to learn from.
            held_out: pairs to choose the best epoch by.
            targets: of the styles of ``train``.
            config: the rest.
        """
        self._train, self._held_out, self._targets = train, held_out, targets
        self._config = config
        for module in (net, vgg):
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.networks = {"net": net, "vgg": vgg}
        self.optimizers = {"main": optimizer(net, net.stages, config.optimisation)}

    @property
    def batches_per_epoch(self) -> int:
        """Full batches in the pairs of an epoch."""
        return len(self._train) // min(self._config.optimisation.batch_size, len(self._train))

    def batches(self, epoch: int, first: int, part: Part) -> Iterable[Pair]:
        """Batches of pairs that the seed and the epoch give."""
        self._train.set_epoch(epoch)
        size, seed = self._config.optimisation.batch_size, self._config.training.seed
        order = Order(len(self._train), size, seed=seed, epoch=epoch, first=first, part=part)
        return batches(self._train, order, collate, self._config.workers)

    def update(self, batch: Any, networks: Mapping[str, nn.Module]) -> Iterator[Objective]:
        """Yield the loss of a batch; the first of it stay as they are, without a style."""
        pair = Pair(*batch)
        content = _pixels(pair.content)
        same = int(self._config.identity * len(content))
        alpha = (torch.arange(len(content), device=content.device) >= same).float()
        with torch.no_grad():
            known = networks["vgg"](content)
        grams, codes = self._targets.of(pair.number, content.device)
        made: Tensor = networks["net"](content, codes, alpha).float()
        inside = made.clamp(0, 1)
        aim = Aim({ENCODED[-1]: known[ENCODED[-1]]}, grams)
        losses = aim.losses(networks["vgg"](inside), inside)
        total = losses.total(self._config.weighting)
        styled = total[same:].clamp_min(1e-6).log().mean()
        loss = styled + _OUTSIDE * (made - inside).square().mean()
        logged = {
            "log_total": styled.detach(),
            "content": losses.content[same:].detach().mean(),
            "style": losses.style[same:].detach().mean(),
        }
        if same:
            pixels = (made[:same] - content[:same]).square().mean()
            kept = losses.content[:same].mean() + _SAME_PIXELS * pixels
            loss = loss + same / len(content) * kept
            logged["identity"] = kept.detach()
        yield Objective(loss, logged=logged)

    def evaluate(self, networks: Mapping[str, nn.Module], part: Part) -> Mapping[str, float]:
        """Losses on the held-out pairs; ``loss`` is the geometric mean of their totals."""
        net, vgg = networks["net"], networks["vgg"]
        assert isinstance(net, Stylizer)
        device = next(net.parameters()).device
        mine = []
        indices = range(part.rank, len(self._held_out), part.world)
        for pair in DataLoader(self._held_out, sampler=indices, collate_fn=collate):
            content, style = (_pixels(images.to(device)) for images in (pair.content, pair.style))
            made = net(content, net.code(style)).clamp(0, 1)
            losses = Aim.of(vgg(content), vgg(style)).losses(vgg(made), made)
            total = losses.total(self._config.weighting)
            mine.append((float(total), float(losses.content), float(losses.style)))
        found = torch.tensor(of_all(mine, part))
        return {
            "loss": float(found[:, 0].log().mean().exp()),
            "content": float(found[:, 1].mean()),
            "style": float(found[:, 2].mean()),
        }


def _pixels(images: Tensor) -> Tensor:
    """Pixels as convolutions like them best."""
    return pixels_of(images).contiguous(memory_format=torch.channels_last)
