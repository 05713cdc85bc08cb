from typing import Any

import pytest

from training.tasks.stylize.config import PUBLISHED, Stylize
from training.tasks.stylize.objective import Weighting
from training.tasks.stylize.presets import FOLDER, FULL, PRESETS, SLIM
from training.weights import STYLE_TABLE


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"name": "A B"}, "--name"),
        ({"side": 100}, "--side must be a multiple of 16"),
        ({"side": 32}, "--side"),
        ({"crop": 100}, "--crop must be a multiple of 16"),
        ({"crop": 32}, "--crop"),
        ({"side": 128, "crop": 256}, "--crop"),
        ({"views": 0}, "--views"),
        ({"samples": 0}, "--samples"),
        ({"held_out": 1.0}, "--held-out"),
        ({"pairs": 0}, "--pairs"),
        ({"identity": 1.0}, "--identity"),
        ({"workers": -1}, "--workers"),
        ({"largest_side": 8}, "--largest-side"),
        ({"style_side": 8}, "--style-side"),
    ],
)
def test_an_option_out_of_its_range_is_named(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Stylize(**options)


@pytest.mark.parametrize("name", ["style", "smooth"])
def test_a_negative_weight_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"--{name}-weight"):
        Weighting(**{f"{name}_weight": -1.0})


def test_networks_begin_with_a_row_of_the_table_and_the_slim_one_with_a_full_one() -> None:
    assert PUBLISHED in STYLE_TABLE
    assert {each.weights for each in (FULL, FOLDER)} == {PUBLISHED}
    assert SLIM.weights == f"models/{FULL.name}"


def test_one_preset_is_the_tasks_default() -> None:
    assert [name for name, preset in PRESETS.items() if preset.default] == ["stylize-full"]
    assert not FOLDER.default
    assert len({preset.name for preset in PRESETS.values()}) == len(PRESETS)
