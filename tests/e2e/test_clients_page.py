"""What docs/clients.md shows is run, with the clients it names, against the real command."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fabricate import Tiny, TinyCaptioner, TinyDetector, TinySegmenter, TinyStylizer
from live_server import ROOT, Server
from PIL import Image

pytestmark = pytest.mark.live

PAGE = (ROOT / "docs/clients.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    models: Path = tmp_path_factory.mktemp("models")
    Tiny(name="imagenet").write(models)
    TinyDetector(name="detect").write(models)
    TinySegmenter().write(models)
    TinyCaptioner().write(models)
    TinyStylizer().write(models)
    with Server(models) as running:
        yield running.wait_until_ready()
        assert not running.complaints()


@pytest.mark.parametrize("block", BLOCKS, ids=[re.findall(r"import .*", b)[-1] for b in BLOCKS])
def test_the_python_of_the_page_runs(
    server: Server,
    block: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Image.new("RGB", (64, 64), (255, 255, 255)).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    code = block.replace("localhost:8000", f"127.0.0.1:{server.port}")
    code = code.replace('ip="localhost", port=8000', f'ip="127.0.0.1", port={server.port}')
    assert code != block
    if "import CodeProjectAIObject" in code:
        pytest.importorskip("codeprojectai.core")  # see test_deepstack.py
    names: dict[str, Any] = {}
    exec(compile(code, "docs/clients.md", "exec"), names)
    assert capsys.readouterr().out.strip()
    if close := getattr(names.get("client"), "close", None):
        close()


def test_frigates_configuration_is_one_it_reads() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    detector = yaml.safe_load(block)["detectors"]["sightline"]
    assert set(detector) == {"type", "api_url", "api_timeout"}
    assert detector["type"] == "deepstack"
    assert detector["api_url"].endswith("/v1/vision/detection")
