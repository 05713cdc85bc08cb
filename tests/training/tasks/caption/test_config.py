"""What cannot be trained is refused before anything is read, and the option is named."""

from typing import Any

import pytest

from training.settings import Training
from training.tasks.caption.config import Caption
from training.tasks.caption.presets import FOLDER, PRESETS

FIVE = Training(epochs=5)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"name": "My Garden"}, "--name must be small letters.*'My Garden'"),
        ({"height": 31}, "--height must be 32 or more, not 31"),
        ({"width": 0}, "--width must be 32 or more, not 0"),
        ({"tuned_stages": -1}, "--tuned-stages must be 0 or more, not -1"),
        ({"views": 0}, "--views must be at least 1, not 0"),
        ({"hidden": 0}, "--hidden must be at least 1, not 0"),
        ({"dropout": 1.0}, "--dropout must be from 0 to below 1, not 1.0"),
        ({"dropout": float("nan")}, "--dropout must be from 0 to below 1, not nan"),
        ({"min_count": 0}, "--min-count must be at least 1, not 0"),
        ({"longest": 0}, "--longest must be 1 to 100, not 0"),
        ({"longest": 101}, "--longest must be 1 to 100, not 101"),
        ({"captions": 0}, "--captions must be at least 1, not 0"),
        ({"label_smoothing": 1.0}, "--label-smoothing must be from 0 to below 1, not 1.0"),
        ({"own_words": 1.1}, "--own-words must be from 0 to 1, not 1.1"),
        (
            {"self_critical_epochs": 5, "training": FIVE},
            "--self-critical-epochs must be 0 to 4, one fewer than epochs, not 5",
        ),
        (
            {"self_critical_epochs": 1, "training": FIVE, "captions": 1},
            "--self-critical-epochs compares .* --captions must be at least 2",
        ),
        ({"beams": 0}, "--beams must be 1 to 20, not 0"),
        ({"beams": 21}, "--beams must be 1 to 20, not 21"),
        ({"length_penalty": -0.1}, "--length-penalty must be from 0 to 2, not -0.1"),
        ({"held_out": 0.0}, "--held-out must be between 0 and 1, not 0.0"),
        ({"test": 1.0}, "--test must be between 0 and 1, not 1.0"),
        ({"workers": -1}, "--workers must be 0 or more, not -1"),
    ],
)
def test_an_option_out_of_its_range_is_named(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Caption(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"height": 32, "width": 32, "hidden": 1, "min_count": 1, "longest": 1, "captions": 1},
        {"beams": 20, "longest": 100, "length_penalty": 2.0, "own_words": 1.0},
        {"beams": 1, "length_penalty": 0.0, "dropout": 0.0, "label_smoothing": 0.0},
        {"self_critical_epochs": 4, "training": FIVE, "captions": 2},
    ],
)
def test_the_ends_of_each_range_are_in_it(options: dict[str, Any]) -> None:
    config = Caption(**options)
    assert all(getattr(config, name) == value for name, value in options.items())


def test_presets_have_names_of_their_own_and_one_answers_by_default() -> None:
    names = [preset.name for preset in PRESETS.values()]
    assert len(set(names)) == len(names)
    assert [name for name, preset in PRESETS.items() if preset.default] == ["flickr8k"]
    assert not FOLDER.default
    assert PRESETS["flickr8k-nic"].network == "nic"
    assert all(preset.data is None for preset in PRESETS.values())
