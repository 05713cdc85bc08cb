"""Plain and residual networks of 20 and 56 layers: the degradation problem."""

from dataclasses import replace

from training.data.augment import Augmentation
from training.loop import Training
from training.tasks.classify.ablation.variations import Claim, Family, Setup, Variation
from training.tasks.classify.config import Optimisation

_DEGRADATION = "a deeper plain network is harder to train, so even its training error is higher"
_UNDONE = "shortcuts undo the degradation"
_PAYS = "with shortcuts depth pays"


def depth(*, batch_size: int = 128, epochs: int | None = None) -> Family:
    """The family; the recipe is the paper's, section 4.2, but for Nesterov's form of momentum.

    The paper warms up its deepest network only; here all have the same first epoch of warm-up.

    Args:
        batch_size: pictures a batch.
        epochs: 164, the paper's 64,000 steps, if left out.
    """
    base = Setup(
        "plain20",
        Optimisation(optimizer="sgd", lr=0.1, batch_size=batch_size, weight_decay=1e-4),
        Augmentation(crop_padding=4, flip=True),
        Training(epochs=epochs or 164, schedule="step"),
    )
    return Family(
        name="depth",
        title="Plain and residual networks of 20 and 56 layers",
        dataset="cifar10",
        variations=(
            Variation("plain20", "20 layers without shortcuts", base),
            Variation(
                "plain56",
                "56 layers without shortcuts",
                replace(base, net="plain56"),
                (
                    Claim(_DEGRADATION, "residual", "training error", against="plain20"),
                    Claim(_DEGRADATION, "residual", against="plain20"),
                ),
                reference="plain20",
            ),
            Variation(
                "resnet20",
                "20 layers with shortcuts",
                replace(base, net="resnet20"),
                (
                    Claim(
                        "shortcuts help a network of 20 layers too, though little",
                        "residual",
                        expected="lower",
                        against="plain20",
                    ),
                ),
                reference="plain20",
            ),
            Variation(
                "resnet56",
                "56 layers with shortcuts",
                replace(base, net="resnet56"),
                (
                    Claim(_UNDONE, "residual", "training error", "lower", "plain56"),
                    Claim(_UNDONE, "residual", "test error", "lower", "plain56"),
                    Claim(_PAYS, "residual", "training error", "lower", "resnet20"),
                    Claim(_PAYS, "residual", "test error", "lower", "resnet20"),
                ),
                reference="resnet20",
            ),
        ),
    )
