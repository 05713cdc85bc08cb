"""From a folder of pictures to answers over a socket, with the two commands a user types."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from live_server import Server
from PIL import Image

from service.contract import read_manifest
from service.device import Device
from service.images import Limits, decode
from service.masks import to_original
from service.resize import fit
from service.session import open_session
from service.vocabulary import read_vocabulary, sentence
from tests.training import caption_sets, mask_sets
from tests.training.tasks.classify.tiny_sets import CLASSES, write_folder
from training.cli import main
from training.golden import golden_pictures
from training.nets.architectures import build
from training.nets.segmentation.architectures import build as build_segmenter
from training.tasks.caption import publish

pytestmark = pytest.mark.live


def answer_of(models: Path, target: str, picture: bytes) -> Any:
    """What a server of these models says of a PNG, having complained of nothing."""
    with Server(models) as server:
        server.wait_until_ready()
        connection = server.connect()
        connection.request("POST", target, picture, {"content-type": "image/png"})
        response = connection.getresponse()
        answer = json.loads(response.read())
        connection.close()
        assert response.status == 200, answer
        assert server.stop() == 0
        assert not server.complaints()
    return answer


def test_a_folder_of_pictures_becomes_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    photos = write_folder(tmp_path / "photos", 8, side=80)
    weights, models = tmp_path / "random.pth", tmp_path / "models"
    torch.manual_seed(0)
    torch.save(build("mobilenet_v2", 1000).state_dict(), weights)
    arguments = [
        *("classify", "--name", "things", "--data", str(photos)),
        *("--weights", str(weights), "--architecture", "mobilenet_v2", "--size", "64"),
        *("--epochs", "1", "--freeze-epochs", "1", "--batch-size", "8", "--test", "0.25"),
        *("--accelerator", "cpu", "--run", str(tmp_path / "runs"), "--out", str(models)),
        "--default",
    ]
    assert main(arguments) == 0
    assert f"sightline serve --models {models}" in capsys.readouterr().err

    picture = (photos / "coffee/3.png").read_bytes()
    answer = answer_of(models, "/classify", picture)
    scores = {one["label"]: one["score"] for one in answer["predictions"]}
    assert set(scores) == set(CLASSES)
    assert sum(scores.values()) == pytest.approx(1, abs=1e-5)
    assert answer["model"]["name"] == "things"

    manifest = read_manifest(models / "things")
    precision = answer["model"]["precision"]
    described = manifest.graphs["main"][precision]
    path = models / "things" / described.file
    session = open_session(path, described, "main", Device("cpu", 2))
    images = fit(decode(picture, Limits()), manifest.input)[0]
    logits = session.run([{"images": images}])[0]["logits"].astype(np.float64)
    expected = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    assert [scores[label] for label in manifest.labels] == pytest.approx(expected, abs=1e-3)
    with Image.open(io.BytesIO(picture)) as image:
        assert image.size == (80, 80)


def test_a_folder_of_masks_becomes_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    shapes = mask_sets.write_masks(tmp_path / "shapes", 12)
    weights, models = tmp_path / "random.pth", tmp_path / "models"
    torch.manual_seed(0)
    torch.save(build_segmenter("fcn8s-efficientnet_lite0", 3).state_dict(), weights)
    arguments = [
        *("segment", "--name", "parts", "--data", str(shapes), "--weights", str(weights)),
        *("--architecture", "fcn8s-efficientnet_lite0", "--height", "64", "--width", "64"),
        *("--epochs", "1", "--batch-size", "4", "--accelerator", "cpu"),
        *("--precisions", "fp32", "--run", str(tmp_path / "runs"), "--out", str(models)),
        "--default",
    ]
    assert main(arguments) == 0
    assert f"sightline serve --models {models}" in capsys.readouterr().err

    picture = (shapes / "images/0003.png").read_bytes()
    asked = f"classes={','.join(mask_sets.CLASSES)}&mask=none"
    with Server(models) as server:
        server.wait_until_ready()
        connection = server.connect()
        headers = {"content-type": "image/png"}
        connection.request("POST", f"/segment?{asked}", picture, headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
        assert response.status == 200, answer
        connection.request("POST", f"/segment?{asked}", picture, {**headers, "accept": "image/png"})
        response = connection.getresponse()
        with Image.open(io.BytesIO(response.read())) as image:
            drawn = np.asarray(image)
        connection.close()
        assert response.status == 200
        assert server.stop() == 0
        assert not server.complaints()
    assert answer["model"] == {"name": "parts", "version": "1", "precision": "fp32"}
    assert answer["image"] == {"width": 96, "height": 72}
    found = {one["label"]: one["pixels"] for one in answer["segments"]}
    assert sum(found.values()) == 96 * 72

    manifest = read_manifest(models / "parts")
    assert manifest.labels == mask_sets.CLASSES
    described = manifest.graphs["main"]["fp32"]
    session = open_session(models / "parts" / described.file, described, "main", Device("cpu", 2))
    images, placement = fit(decode(picture, Limits()), manifest.input)
    mask = to_original(session.run([{"images": images}])[0]["mask"], placement)
    assert np.mean(drawn != mask) < 1e-3
    for index, label in enumerate(manifest.labels):
        assert found.get(label, 0) == int((drawn == index).sum())


@pytest.mark.timeout(300)
def test_a_folder_of_captions_becomes_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # After a few steps no caption is well ahead, and all drawn pictures would be looked at.
    monkeypatch.setattr(publish, "golden_candidates", lambda *size: [*golden_pictures(*size)])
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    parts = {
        "train": [f"{name}.png" for name in "abcdefgh"],
        "dev": ["i.png", "j.png"],
        "test": ["k.png", "l.png"],
    }
    folder = caption_sets.write_flickr8k(tmp_path / "told", parts)
    weights, models = tmp_path / "random.pth", tmp_path / "models"
    torch.manual_seed(0)
    torch.save(build("mobilenet_v2", 1000).state_dict(), weights)
    arguments = [
        *("caption", "--name", "dogs", "--data", str(folder), "--weights", str(weights)),
        *("--backbone", "mobilenet_v2", "--height", "64", "--width", "64", "--hidden", "16"),
        *("--min-count", "1", "--longest", "7", "--beams", "3", "--epochs", "2"),
        *("--self-critical-epochs", "1", "--batch-size", "4", "--lr", "0.02"),
        *("--accelerator", "cpu", "--run", str(tmp_path / "runs"), "--out", str(models)),
        "--default",
    ]
    assert main(arguments) == 0
    assert f"sightline serve --models {models}" in capsys.readouterr().err

    picture = (folder / "Flicker8k_Dataset/k.png").read_bytes()
    answer = answer_of(models, "/caption?num_captions=3&max_length=4&attention=true", picture)
    assert answer["model"] == {"name": "dogs", "version": "1", "precision": "fp32"}

    manifest = read_manifest(models / "dogs")
    words = read_vocabulary((models / "dogs" / manifest.assets["vocabulary"].file).read_bytes())
    described = manifest.graphs["main"]["fp32"]
    session = open_session(models / "dogs" / described.file, described, "main", Device("cpu", 2))
    images = fit(decode(picture, Limits()), manifest.input)[0]
    found = session.run([{"images": images, "max_length": np.array(4, np.int32)}])[0]
    expected = {
        sentence([words[token] for token in tokens[:length]]): float(np.exp(score))
        for tokens, length, score in zip(
            found["tokens"], found["lengths"], found["scores"], strict=True
        )
        if length
    }
    assert expected
    assert found["lengths"].max() <= 4
    told = {one["text"]: one["score"] for one in answer["captions"]}
    assert list(told) == list(expected)
    assert told == pytest.approx(expected, abs=1e-4)
    for one in answer["captions"]:
        written = one["text"].removesuffix(".").lower().split()
        assert [word["word"].lower() for word in one["words"]] == written
