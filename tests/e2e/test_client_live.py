"""The client and its commands against the real service with a tiny model of each task."""

import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from fabricate import Tiny, TinyCaptioner, TinyDetector, TinySegmenter, TinyStylizer
from live_server import FAR, ROOT, Server, environment
from PIL import Image

from service.__main__ import main
from service.client import (
    RunLengths,
    Sightline,
    SightlineClientError,
    Style,
    command,
)

pytestmark = pytest.mark.live


@contextmanager
def serving(root: Path, *flags: str) -> Iterator[str]:
    """Serve what is in ``root``; gives the URL once all of it is loaded."""
    with Server(root, "--cpus", "1", *flags) as server:
        yield server.wait_until_ready().url


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("models")
    for model in (Tiny(), TinyDetector(), TinySegmenter(), TinyCaptioner(), TinyStylizer()):
        model.write(root)
    with serving(root) as address:
        yield address


@pytest.fixture
def client(url: str) -> Iterator[Sightline]:
    with Sightline(url) as connected:
        yield connected


COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


def png(colour: tuple[int, int, int], size: tuple[int, int] = (24, 20)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def photos(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three pictures and a file that is none, in the folder that is worked in."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, colour in COLOURS.items():
        (folder / f"{name}.png").write_bytes(png(colour))
    (folder / "broken.jpg").write_bytes(b"no picture")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIGHTLINE_URL", url)
    return folder


def pixels(encoded: bytes | Path, kind: str) -> np.ndarray:
    with Image.open(io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded) as image:
        assert image.format == kind
        return np.asarray(image)


def test_every_task_answers_as_its_type(client: Sightline, photos: Path) -> None:
    with (photos / "blue.png").open("rb") as file:
        for picture in (photos / "blue.png", str(photos / "blue.png"), png(COLOURS["blue"]), file):
            answer = client.classify(picture, top_k=2)
            assert [answer.predictions[0].label, len(answer.predictions)] == ["blue", 2]
            assert (answer.image.width, answer.image.height) == (24, 20)
    white = png((255, 255, 255))
    found = client.detect(white, classes=["dog", "traffic light, red"], threshold=0.5)
    assert [each.label for each in found.detections] == ["dog"]
    assert found.detections[0].box.y_max == 20
    plain, drawn = pixels(white, "PNG"), pixels(client.detect_drawn(white, format="png"), "PNG")
    assert drawn.shape == plain.shape
    assert (drawn != plain).any()
    red = png(COLOURS["red"])
    (segment,) = client.segment(red).segments
    assert (segment.label, segment.share, segment.pixels) == ("red", 1.0, 480)
    assert isinstance(segment.mask, RunLengths)
    assert segment.mask.size == [20, 24]
    assert client.segment(red, mask="none", classes=["blue"]).segments == []
    assert (pixels(client.segment_drawn(red, format="png"), "PNG") == 1).all()
    captions = client.caption(png(COLOURS["green"]), num_captions=2, attention=True).captions
    assert captions[0].text == "A green dog's BMX."
    assert captions[0].words[0].word == "a"
    assert [style.name for style in client.styles()] == ["wave", "fire"]
    assert client.styles(model="styles") == client.styles()
    assert {model.task for model in client.models()} == {
        *("classify", "detect", "segment", "caption", "stylize")
    }


def test_styles_are_mixed_as_weighed(client: Sightline, tmp_path: Path) -> None:
    stylizer, random = TinyStylizer(), np.random.default_rng(3)
    content, style = (random.integers(0, 256, (20, 24, 3), np.uint8) for _ in range(2))
    buffers = [io.BytesIO(), io.BytesIO()]
    for buffer, array in zip(buffers, (content, style), strict=True):
        Image.fromarray(array).save(buffer, "PNG")
    (tmp_path / "style.png").write_bytes(buffers[1].getvalue())
    styles = [Style(tmp_path / "style.png", 3), Style("wave")]
    styled = client.stylize(buffers[0].getvalue(), styles, format="png", alpha=0.5)
    code = (3 * stylizer.code(style) + np.array(stylizer.presets["wave"])) / 4
    expected = stylizer.expected(content, code.tolist(), 0.5)
    assert np.abs(pixels(styled, "PNG") - expected).max() < 0.6


def test_errors_tell_what_the_service_says(client: Sightline, tmp_path: Path) -> None:
    for asked, status, kind in (
        (lambda: client.classify(b"no picture"), 415, "unsupported-image"),
        (lambda: client.classify(png((1, 2, 3)), model="absent"), 404, "not-found"),
        (lambda: client.classify(png((1, 2, 3)), top_k=0), 422, "bad-parameter"),
        (lambda: client.stylize(png((1, 2, 3)), "absent"), 422, "bad-parameter"),
        (lambda: client.classify(bytes(33 << 20)), 413, "too-large"),
    ):
        with pytest.raises(SightlineClientError) as caught:
            asked()
        error = caught.value
        assert (error.status, error.kind) == (status, kind)
        assert error.detail in str(error)
        assert error.request_id
        assert error.request_id in str(error)
    with pytest.raises(FileNotFoundError):
        client.classify(tmp_path / "absent.jpg")


def test_a_file_that_no_service_would_take_is_not_sent(client: Sightline, tmp_path: Path) -> None:
    with (tmp_path / "film.jpg").open("wb") as file:
        file.truncate(1 << 40)  # holes
    with pytest.raises(SightlineClientError, match="larger than 256 MiB, and was not sent"):
        client.classify(tmp_path / "film.jpg")


def test_a_run_over_a_folder_tells_what_is_found_and_what_failed(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["classify", "photos", "--top-k", "1"]) == 1
    out, err = capsys.readouterr()
    assert [line for line in out.splitlines() if not line.startswith(" ")] == [
        f"photos/{name}.png" for name in sorted(COLOURS)
    ]
    assert re.search(r"photos/blue.png\n  blue  [01]\.\d{3}\n", out)
    assert "photos/broken.jpg: 415 Unsupported image: " in err
    assert err.splitlines()[-1] == "sightline: 1 of 4 pictures failed: photos/broken.jpg"
    assert main(["classify", "photos/*.png", "gone.jpg", "--json"]) == 1
    out, err = capsys.readouterr()
    answers = [json.loads(line) for line in out.splitlines()]
    assert [answer["predictions"][0]["label"] for answer in answers[:3]] == sorted(COLOURS)
    assert answers[3] == {"file": "gone.jpg", "error": {"detail": "No such file or directory"}}
    assert main(["caption", "photos/red.png", "--num-captions", "2"]) == 0
    assert "  A red dog's BMX.\n" in capsys.readouterr().out
    assert main(["segment", "photos/red.png"]) == 0
    assert "  red  100.0%  480 pixels  1.000\n" in capsys.readouterr().out
    assert main(["segment", "photos/red.png", "--json", "--mask", "polygon"]) == 0
    (segment,) = json.loads(capsys.readouterr().out)["segments"]
    assert segment["mask"]["polygons"] == [[0, 0, 24, 0, 24, 20, 0, 20]]
    assert main(["detect", "photos/red.png", "--classes", "dog,cat", "--threshold", "1"]) == 0
    assert capsys.readouterr().out == "photos/red.png\n  nothing\n"


def test_pictures_are_written_beside_not_over_the_originals(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in photos.iterdir()}
    assert main(["detect", "photos", "--out", "boxed"]) == 1
    out, _ = capsys.readouterr()
    assert out.splitlines() == [
        f"photos/{name}.png -> boxed/{name}.png.jpg" for name in sorted(COLOURS)
    ]
    assert sorted(os.listdir("boxed")) == [f"{name}.png.jpg" for name in sorted(COLOURS)]
    assert pixels(Path("boxed/red.png.jpg"), "JPEG").shape == (20, 24, 3)
    assert main(["segment", "photos/blue.png", "-o", "mask.png"]) == 0
    assert (pixels(Path("mask.png"), "PNG") == 3).all()
    assert main(["detect", "photos/red.png", "-o", "both.webp", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (answer["file"], answer["out"]) == ("photos/red.png", "both.webp")
    assert answer["detections"]
    styles = ["--style", "photos/blue.png:0.5", "--style", "wave"]
    assert main(["stylize", "photos/red.png", *styles, "--max-side", "16", "-o", "out.jpg"]) == 0
    assert capsys.readouterr().out == "photos/red.png -> out.jpg\n"
    assert max(pixels(Path("out.jpg"), "JPEG").shape) == 16
    assert main(["detect", "photos", "--out", "photos", "--format", "png"]) == 2
    assert "never overwritten" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in photos.iterdir()} == before


def test_what_no_picture_can_help_stops_the_run(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["stylize", "photos", "--style", "absent", "--jobs", "1", "--out", "styled"]
    assert main(words) == 1
    err = capsys.readouterr().err
    assert "there is no preset 'absent'; there are: wave, fire" in err
    assert "gave up; 3 of 4 pictures were not told of" in err
    assert not Path("styled").exists()
    assert main(["classify", "photos", "--url", "127.0.0.1:1"]) == 1
    assert "no connection to http://127.0.0.1:1" in capsys.readouterr().err


def sightline(*words: str, url: str) -> list[str]:
    return [sys.executable, "-m", "service", *words, "--url", url]


def test_standard_input_is_a_picture(url: str, tmp_path: Path) -> None:
    done = subprocess.run(
        sightline("classify", "-", "--json", url=url),
        input=png(COLOURS["green"]),
        capture_output=True,
        cwd=ROOT,
        env=environment(),
        check=True,
        timeout=FAR,
    )
    answer = json.loads(done.stdout)
    assert (answer["file"], answer["predictions"][0]["label"]) == ("stdin", "green")


def test_the_bar_is_for_a_terminal_and_answers_for_the_pipe(url: str, photos: Path) -> None:
    terminal, theirs = pty.openpty()
    process = subprocess.Popen(
        sightline("classify", str(photos), "--json", url=url),
        cwd=ROOT,
        env=environment(TERM="xterm", COLUMNS="80"),
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(terminal, 65536):
            shown += part
    except OSError:  # what Linux gives once nobody writes any more
        pass
    os.close(terminal)
    out, _ = process.communicate(timeout=FAR)
    assert process.returncode == 1
    assert len([json.loads(line) for line in out.splitlines()]) == 4
    assert b"4/4" in shown
    assert b"broken.jpg: 415" in shown


def test_a_reader_that_leaves_and_an_interrupt_end_the_run_quietly(url: str, photos: Path) -> None:
    for turn in range(300):
        (photos / f"{turn:03}.png").write_bytes(png(COLOURS["red"]))
    for leave in (False, True):
        process = subprocess.Popen(
            sightline("classify", str(photos), "--jobs", "1", url=url),
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().endswith(b"000.png\n")
        if leave:
            process.stdout.close()
            assert process.wait(FAR) == 1
            assert process.stderr.read() == b""
            process.stderr.close()
        else:
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=FAR)
            assert (process.returncode, err) == (128 + signal.SIGINT, b"sightline: interrupted\n")


def test_an_interrupt_in_the_middle_of_a_lock_is_an_interrupt(
    url: str, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> int:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise RuntimeError("release unlocked lock") from None
        return 0

    monkeypatch.setattr(command, "_ask_all", interrupted)
    before = signal.getsignal(signal.SIGINT)
    assert main(["classify", str(photos), "--url", url]) == 128 + signal.SIGINT
    assert capsys.readouterr().err == "sightline: interrupted\n"
    assert signal.getsignal(signal.SIGINT) is before


def test_more_than_a_limited_key_may_ask_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root, keys = tmp_path / "models", tmp_path / "keys.json"
    root.mkdir()
    Tiny().write(root)
    create = ["keys", "create", "--file", str(keys), "--scope", "infer", "--name"]
    assert main([*create, "slow", "--rate", "4/s"]) == 0
    assert main([*create, "spent", "--rate", "1/h"]) == 0
    slow, spent = capsys.readouterr().out.split()
    for turn in range(6):
        (tmp_path / f"{turn}.png").write_bytes(png(COLOURS["blue"]))
    monkeypatch.chdir(tmp_path)
    with serving(root, "--api-keys-file", str(keys)) as url:
        monkeypatch.setenv("SIGHTLINE_API_KEY", slow)
        assert main(["classify", "*.png", "--url", url, "--top-k", "1", "--retries", "20"]) == 0
        assert capsys.readouterr().out.count("  blue  ") == 6
        with Sightline(url, api_key=spent) as client:
            client.classify(png(COLOURS["blue"]))
            with pytest.raises(SightlineClientError) as caught:
                client.classify(png(COLOURS["blue"]))  # an hour is too long to wait
        assert (caught.value.status, caught.value.kind) == (429, "rate-limited")
        monkeypatch.setenv("SIGHTLINE_API_KEY", "sl_wrong")
        assert main(["classify", "0.png", "--url", url]) == 1
        assert "401 API key required" in capsys.readouterr().err


def test_the_documented_calls_and_commands_work(
    url: str, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "broken.jpg").unlink()
    for name in ("cat", "street", "house", "park", "photo", "wave", "painting", "coffee"):
        Path(f"{name}.jpg").write_bytes((photos / "green.png").read_bytes())
    document = (ROOT / "docs/python-client.md").read_text()
    known: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", document, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        code = block.replace("http://127.0.0.1:8000", url).replace(
            "Sightline()", f"Sightline('{url}')"
        )
        exec(code, known)
    assert "green\n" in capsys.readouterr().out
    assert Path("styled.png").stat().st_size > 0
    commands = re.findall(r"^(?:\$ )?sightline ([a-z]+ [^>\n]*)", document, re.MULTILINE)
    assert len(commands) == 9
    for words in commands:
        assert main(words.split()) == 0, words
    assert sorted(os.listdir("styled")) == [f"{name}.png.jpg" for name in sorted(COLOURS)]
