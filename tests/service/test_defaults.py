"""Which model a task uses when a request names none."""

import logging

import pytest
from fabricate import Tiny

from service.contract import Manifest, read_manifest
from service.defaults import choose_defaults


@pytest.fixture
def manifests(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Manifest]:
    """Of the models a, b and c, of which b and c are marked."""
    root = tmp_path_factory.mktemp("models")
    return {n: read_manifest(Tiny(name=n, default=n != "a").write(root)) for n in "abc"}


@pytest.mark.parametrize(
    ("offered", "wanted", "chosen"),
    [
        ("ca", {}, {"classify": "c"}),
        ("cba", {}, {"classify": "b"}),
        ("a", {}, {"classify": "a"}),
        ("", {}, {}),
        ("abc", {"classify": "a", "dream": "b"}, {"classify": "a"}),
        ("bc", {"classify": "a"}, {"classify": "a"}),
    ],
)
def test_the_one_wanted_else_the_first_marked_else_the_first(
    manifests: dict[str, Manifest], offered: str, wanted: dict[str, str], chosen: dict[str, str]
) -> None:
    found = choose_defaults([manifests[n] for n in offered], wanted, ("classify", "detect"))
    assert found == chosen


def test_what_an_operator_should_look_at_is_told(
    manifests: dict[str, Manifest], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        choose_defaults(manifests.values(), {}, ("classify",))
    assert "classify: several default models ['b', 'c']" in caplog.text
    choose_defaults([], {"classify": "a"}, ("classify",))
    assert "default_models names 'a' for classify, which is not served" in caplog.text
