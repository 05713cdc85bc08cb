"""Settings: variables, flags, bounds, and the page that documents them."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from service import settings_doc
from service.contract import describe
from service.settings import Settings, type_name

PAGE = Path(__file__).parents[2] / "docs/settings.md"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SIGHTLINE_{name.upper()}", raising=False)


def test_the_defaults_are_within_their_own_bounds() -> None:
    defaults = Settings().model_dump()
    assert Settings(**defaults).model_dump() == defaults


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("PORT", "9000", 9000),
        ("MODELS", "/srv/models", Path("/srv/models")),
        ("DEVICE", "cuda", "cuda"),
        ("PRECISION", "int8", "int8"),
        ("CPUS", "3", 3),
        ("CPUS", "", None),
        ("TIMEOUT_S", "0.5", 0.5),
        ("DEFAULT_MODELS", '{"classify": "pets"}', {"classify": "pets"}),
        ("DEFAULT_MODELS", "", {}),
    ],
)
def test_a_setting_is_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, value: Any
) -> None:
    monkeypatch.setenv(f"SIGHTLINE_{variable}", text)
    assert getattr(Settings(), variable.lower()) == value


def test_a_flag_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_PORT", "9000")
    monkeypatch.setenv("SIGHTLINE_DEFAULT_MODELS", '{"classify": "pets"}')
    settings = Settings(port=9001, default_models='{"classify": "birds"}')
    assert settings.port == 9001
    assert settings.default_models == {"classify": "birds"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "-1"),
        ("port", "65536"),
        ("port", "http"),
        ("device", "gpu"),
        ("precision", "bf16"),
        ("cpus", "0"),
        ("slots", "0"),
        ("max_batch", "-1"),
        ("queue_size", "0"),
        ("timeout_s", "0"),
        ("timeout_s", "inf"),
        ("timeout_s", "nan"),
        ("body_timeout_s", "-1"),
        ("shutdown_grace_s", "inf"),
        ("max_body_mib", "0"),
        ("max_body_mib", "inf"),
        ("max_quality_loss", "1"),
        ("max_quality_loss", "nan"),
        ("max_aspect", "0.5"),
        ("default_models", "pets"),
        ("default_models", '["pets"]'),
        ("default_models", '{"classify": 1}'),
        ("log_level", "loud"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name_from_variable_and_flag(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with pytest.raises(ValidationError) as by_flag:
        Settings(**{name: value})  # type: ignore[arg-type]
    monkeypatch.setenv(f"SIGHTLINE_{name.upper()}", value)
    with pytest.raises(ValidationError) as by_variable:
        Settings()
    assert describe(by_flag.value).startswith(name)
    assert describe(by_variable.value) == describe(by_flag.value)


def test_settings_do_not_change_under_a_running_service() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1  # type: ignore[misc]


def test_limits_and_bytes_follow_the_settings() -> None:
    settings = Settings(max_pixels=10, max_frames=2, max_aspect=3, max_body_mib=0.5)
    limits = settings.limits
    assert (limits.max_pixels, limits.max_frames, limits.max_aspect) == (10, 2, 3)
    assert settings.max_body_bytes == 524_288


def test_every_setting_is_described_and_its_type_has_a_short_name() -> None:
    names = {name: type_name(field.annotation) for name, field in Settings.model_fields.items()}
    assert all(field.description for field in Settings.model_fields.values())
    assert names["device"] == "auto|cpu|cuda"
    assert names["precision"] == "auto|fp32|fp16|int8"
    assert names["default_models"] == "JSON"
    assert (names["cpus"], names["max_aspect"], names["models"]) == ("INT", "FLOAT", "PATH")


def test_the_page_lists_every_setting_with_its_default_and_description() -> None:
    assert PAGE.read_text() == settings_doc.page(), (
        "run: python -m service.settings_doc > docs/settings.md"
    )
    rows = {
        line.split("`")[1]: line for line in PAGE.read_text().splitlines() if "SIGHTLINE_" in line
    }
    assert set(rows) == {f"SIGHTLINE_{name.upper()}" for name in Settings.model_fields}
    for name, field in Settings.model_fields.items():
        row = rows[f"SIGHTLINE_{name.upper()}"]
        assert f"| {field.description} |" in row
        if field.default not in (None, {}):
            assert f"| `{field.default}` |" in row
