"""The command of a model card, without the machine it was typed on."""

import pytest

from training.made_by import made_by


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["mnist", "--seeds", "5"], "mnist --seeds 5"),
        (["classify", "--data", "/home/me/pets"], "classify --data pets"),
        (["classify", "--data=/home/me/pets"], "classify --data=pets"),
        (["classify", "--data", "../me/pets/"], "classify --data pets"),
        (["classify", "--data", "my pets"], "classify --data 'my pets'"),
        (["mnist", "--run", "/scratch/r", "--out", "m", "--lr", "0.1"], "mnist --lr 0.1"),
        (["mnist", "--run=/scratch/r", "--out=m", "--lr=0.1"], "mnist --lr=0.1"),
        (["mnist", "--downloads", "/dl", "--resume", "--epochs", "2"], "mnist --epochs 2"),
        (
            ["mnist", "--memory_mib", "9", "--workers=3", "--batch_size", "7"],
            "mnist --batch-size 7",
        ),
        (["classify", "--weights", "/a/b.pth?sha256=12"], "classify --weights 'b.pth?sha256=12'"),
        (["classify", "--weights=/a/b.pth"], "classify --weights=b.pth"),
        (["classify", "--weights", "pypi:a==1#b/c.pth"], "classify --weights 'pypi:a==1#b/c.pth'"),
        (["mnist", "--lr", "-1"], "mnist --lr -1"),
        (["mnist", "--no-export", "--default"], "mnist --no-export --default"),
        (["detect", "--classes", "a", "b", "--run=r"], "detect --classes a b"),
        (["everyday", "--data", "/"], "everyday --data /"),
        (["flickr8k", "--data", "sets/f", "--features", "/big/disk"], "flickr8k --data f"),
        (
            ["stylize", "--content", "me/a", "/b/c", "--styles=art/d", "--weights", "/r/e.ckpt"],
            "stylize --content a c --styles=d --weights e.ckpt",
        ),
    ],
)
def test_a_card_tells_the_command_without_the_machine(arguments: list[str], told: str) -> None:
    assert made_by(arguments) == f"sightline-train {told}"
