"""The network of 3x3 convolutions, one thing changed at a time."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

from training.data.augment import Augmentation
from training.loop import Training
from training.tasks.classify.ablation.variations import (
    BASELINE,
    Claim,
    ConvNetOptions,
    Family,
    Setup,
    Variation,
)
from training.tasks.classify.config import Optimisation

Dataset = Literal["fashion-mnist", "mnist"]

_NET = ConvNetOptions()
_AUGMENTATIONS: Mapping[Dataset, Augmentation] = {
    "fashion-mnist": Augmentation(shift=0.06, zoom=0.06, flip=True),
    "mnist": Augmentation(rotation=12, shift=0.07, zoom=0.12, shear=10),
}
_BASELINE = (
    "3 stages of 2 convolutions with batch normalisation, He initialisation, dropout 0.5, "
    "augmentation, AdamW with weight decay 0.1, a cosine for the learning rate"
)
_DEPTH = "more layers of 3x3 convolutions lower the error"
_DROPOUT = "dropout keeps a network from overfitting"
_AUGMENTATION = "pictures varied by shifts and reflections keep a network from overfitting"
_DECAY = "weight decay keeps a network from overfitting"


def convnet(dataset: Dataset, *, batch_size: int = 128, epochs: int | None = None) -> Family:
    """The family.

    Args:
        dataset: to train on.
        batch_size: pictures a batch.
        epochs: 20 if left out.
    """
    base = Setup(
        _NET,
        Optimisation(lr=3e-3, batch_size=batch_size, weight_decay=0.1),
        _AUGMENTATIONS[dataset],
        Training(epochs=epochs or 20),
    )
    return Family(
        name="convnet",
        title="A network of 3x3 convolutions",
        dataset=dataset,
        variations=(
            Variation(BASELINE, _BASELINE, base),
            *_of_the_network(base),
            *_of_the_training(base),
        ),
    )


def _of_the_network(base: Setup) -> Iterator[Variation]:
    def changed(**changes: Any) -> Setup:
        return replace(base, net=replace(_NET, **changes))

    yield Variation(
        "one-conv",
        "1 convolution a stage in place of 2",
        changed(convs_per_stage=1),
        (Claim(_DEPTH, "vgg"),),
    )
    yield Variation(
        "three-convs",
        "3 convolutions a stage in place of 2",
        changed(convs_per_stage=3),
        (Claim(_DEPTH, "vgg", expected="lower"),),
    )
    yield Variation(
        "two-stages",
        "2 stages in place of 3",
        changed(widths=_NET.widths[:2]),
        (Claim(_DEPTH, "vgg"),),
    )
    robust = "with batch normalisation the scale of the first weights matters little"
    yield Variation(
        "plain-init",
        "first weights drawn with deviation 0.01 in place of He's",
        changed(initialisation="plain"),
        (Claim(robust, "normalisation", expected="same"),),
    )
    fast = "batch normalisation makes training faster and ends at a lower error"
    yield Variation(
        "no-norm",
        "no batch normalisation",
        changed(batch_norm=False),
        (
            Claim(fast, "normalisation", "training error"),
            Claim(fast, "normalisation"),
        ),
    )
    signal = (
        "without normalisation a deep network of rectifiers learns from He's initialisation and "
        "stalls from a fixed deviation of 0.01"
    )
    yield Variation(
        "no-norm-plain-init",
        "no-norm, and first weights drawn with deviation 0.01 in place of He's",
        changed(batch_norm=False, initialisation="plain"),
        (Claim(signal, "he", "training error", against="no-norm"),),
        reference="no-norm",
    )
    yield Variation(
        "no-dropout",
        "no dropout",
        changed(dropout=0.0),
        (Claim(_DROPOUT, "dropout", "gap"), Claim(_DROPOUT, "dropout")),
    )


def _of_the_training(base: Setup) -> Iterator[Variation]:
    yield Variation(
        "no-augmentation",
        "no augmentation",
        replace(base, augmentation=Augmentation()),
        (Claim(_AUGMENTATION, "augmentation", "gap"), Claim(_AUGMENTATION, "augmentation")),
    )
    yield Variation(
        "no-decay",
        "no weight decay",
        replace(base, optimisation=replace(base.optimisation, weight_decay=0.0)),
        (Claim(_DECAY, "decay", "gap"), Claim(_DECAY, "decay")),
    )
    annealed = "a learning rate that falls by a cosine ends at a lower error than a constant one"
    yield Variation(
        "constant-rate",
        "a constant learning rate after the warm-up in place of a cosine",
        replace(base, training=replace(base.training, schedule="constant")),
        (Claim(annealed, "cosine"),),
    )
