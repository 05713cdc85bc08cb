"""A captioner exported: one graph for any number of pictures, and the service's answers with it."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from service import cli
from service.app import create_app
from service.contract import Manifest, read_manifest
from service.device import Device
from service.session import Arrays, Session, open_session
from service.settings import Settings
from service.tasks import caption as served
from service.tasks.caption import deviation
from service.vocabulary import read_vocabulary, sentence
from training.export import export
from training.exportable import Exportable
from training.golden import golden_candidates
from training.graph import reference
from training.nets.stages import FrozenBatchNorm2d
from training.optimisation import Optimisation
from training.settings import Training
from training.tasks.caption import figures
from training.tasks.caption import publish as publishing
from training.tasks.caption.config import Caption
from training.tasks.caption.predict import captions_with, limit
from training.tasks.caption.publish import TOLERANCE, publish
from training.tasks.caption.train import Results, train

LONGEST, BEAMS = 6, 3
COMMAND = "sightline-train caption --data things"
CONFIG = Caption(
    name="things",
    backbone="mobilenet_v2",
    height=64,
    width=96,
    hidden=32,
    min_count=1,
    longest=LONGEST,
    beams=BEAMS,
    optimisation=Optimisation(batch_size=4, lr=1e-2),
    training=Training(epochs=1, warmup_epochs=0),
)


def results_of(config: Caption, fabric: Fabric) -> Results:
    """Of a training whose decoder then is sure of other captions: at first they are all alike."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("sheet", "attention_sheet"):  # which other tests look at
            patch.setattr(figures, name, lambda *_: None)
        results = train(config, fabric)
    decoder = results.module.search.decoder
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in decoder.parameters():
            nn.init.normal_(parameter, std=1.5 * parameter.shape[-1] ** -0.5)
        decoder.scores.bias[0] += 0.5
    return results


@dataclass
class Made:
    """A model folder and what it was made from."""

    results: Results
    exportable: Exportable
    folder: Path
    manifest: Manifest
    session: Session
    pictures: list[Arrays]

    def expected(self, items: Sequence[Arrays]) -> list[Arrays]:
        """By PyTorch."""
        return reference(self.exportable.graphs["main"], items)


@pytest.fixture(scope="module", params=["attention", "nic"])
def made(
    request: pytest.FixtureRequest,
    told: Path,
    weights: str,
    fabric: Fabric,
    tmp_path_factory: pytest.TempPathFactory,
) -> Made:
    folder = tmp_path_factory.mktemp("made")
    config = replace(CONFIG, network=request.param, data=told, weights=weights, run=folder / "runs")
    if request.param == "nic":
        config = replace(config, tuned_stages=1)
    results = results_of(config, fabric)
    with pytest.MonkeyPatch.context() as patch:
        few = golden_candidates(64, 96)[::9]
        patch.setattr(publishing, "golden_candidates", lambda *_: list(few))
        exportable = publish(config, results, COMMAND)
    folder, manifest = export(exportable, folder / "models")
    variant = manifest.graphs["main"]["fp32"]
    session = open_session(folder / variant.file, variant, "main", Device("cpu", 1))
    test = results.gathered.test
    pictures = [publishing._item(test, at, 1 + at) for at in range(len(test))]
    return Made(results, exportable, folder, manifest, session, pictures)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6])
def test_one_graph_takes_any_number_of_pictures(made: Made, count: int) -> None:
    items = made.pictures[-count:]
    alone = [made.session.run([item], lone=True)[0] for item in items]
    expected, found = made.expected(items), made.session.run(items)
    for one, other, single in zip(found, expected, alone, strict=True):
        assert one["tokens"].shape == (BEAMS, LONGEST)
        assert one["tokens"].dtype == one["lengths"].dtype == np.int32
        assert one["scores"].dtype == np.float32
        assert deviation(one, other) <= TOLERANCE
        assert deviation(one, single) <= TOLERANCE
        assert np.array_equal(one["tokens"], other["tokens"])
        assert np.array_equal(one["lengths"], other["lengths"])
        if "attention" in one:
            assert one["attention"].shape == (BEAMS, LONGEST, 2, 3)


def test_each_picture_has_its_own_limit(made: Made) -> None:
    found = made.session.run(made.pictures)
    assert [int(item["max_length"]) for item in made.pictures] == [1, 2, 3, 4, 5, 6]
    for limit_, one in enumerate(found, 1):
        assert one["lengths"].max() <= limit_
        assert (np.diff(one["scores"]) <= 0).all()
        is_word = np.arange(LONGEST) < one["lengths"][:, None]
        assert not one["tokens"][~is_word].any()
        assert (one["tokens"][is_word] > 1).all()
        if "attention" in one:
            sums = one["attention"].sum((2, 3))
            assert sums[is_word] == pytest.approx(1, abs=1e-5)
            assert not sums[~is_word].any()
    assert len({tuple(one["tokens"][0]) for one in found}) > 2


def test_a_graph_stops_with_its_last_caption(made: Made, tmp_path: Path) -> None:
    path = made.folder / made.manifest.graphs["main"]["fp32"].file
    loops = [node for node in onnx.load(path).graph.node if node.op_type == "Loop"]
    assert len(loops) == 1

    def steps(most: int) -> int:
        options = ort.SessionOptions()
        options.enable_profiling = True
        options.profile_file_prefix = str(tmp_path / f"{most}")
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        feed = {
            "images": made.pictures[0]["images"][None],
            "max_length": np.array([most], np.int32),
        }
        session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_text())
        return sum(event.get("args", {}).get("op_name") == "TopK" for event in events)

    assert [steps(most) for most in (1, 2)] == [2, 3]
    assert made.results.module.search.longest == LONGEST


def test_weights_take_half_the_room(made: Made) -> None:
    graph = onnx.load(made.folder / made.manifest.graphs["main"]["fp32"].file).graph
    kinds = dict.fromkeys((onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16), 0)
    for tensor in graph.initializer:
        if tensor.data_type in kinds:
            kinds[tensor.data_type] += int(np.prod(tensor.dims))
    parameters = sum(p.numel() for p in made.results.module.parameters())
    assert kinds[onnx.TensorProto.FLOAT16] > 0.95 * parameters
    assert kinds[onnx.TensorProto.FLOAT] < 0.05 * parameters
    norms = [m for m in made.results.module.modules() if isinstance(m, FrozenBatchNorm2d)]
    assert not norms


def test_the_folder_is_a_captioner_the_service_accepts(made: Made) -> None:
    manifest = read_manifest(made.folder)
    assert manifest == made.manifest
    vocabulary = (made.folder / manifest.assets["vocabulary"].file).read_bytes()
    served.check(manifest, {"vocabulary": vocabulary})
    assert read_vocabulary(vocabulary) == made.results.gathered.vocabulary.words
    assert set(manifest.precisions) == {"fp32"}
    assert manifest.input.resize == "squash"
    assert manifest.graphs["main"]["fp32"].parity.measured <= TOLERANCE
    stated = {metric.name: metric for metric in manifest.metrics}
    assert stated.keys() == {*(f"bleu{order}" for order in range(1, 5)), "cider", "rouge_l"}
    assert {metric.samples for metric in stated.values()} == {6}


def test_golden_pictures_differ_and_one_caption_is_cut(made: Made) -> None:
    first, second = made.exportable.graphs["main"].golden
    assert not np.array_equal(first["images"], second["images"])
    assert [int(each["max_length"]) for each in (first, second)] == [LONGEST, LONGEST // 3]
    for found in made.expected([first, second]):
        assert found["scores"][0] - found["scores"][1] > publishing._STEADY
    with np.load(made.folder / "golden.npz") as golden:
        assert golden["main.fp32.tokens"].shape == (2, BEAMS, LONGEST)
        assert golden["main.input.max_length"].shape == (2,)


def test_it_passes_the_services_check(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "check", "--models", str(made.folder.parent)]) == 0
    assert "ok      things fp32" in capsys.readouterr().out


def test_the_card_tells_what_a_user_must_know(made: Made) -> None:
    text = (made.folder / "MODEL_CARD.md").read_text()
    assert made.manifest.description in text
    assert COMMAND in text
    assert "8 pictures" in text
    assert "6 test pictures" in text
    assert "`begun.pth`" in text
    for beams, quality in made.results.quality.items():
        mark = " *" if beams == BEAMS else ""
        assert f"| {beams}{mark} | {quality.bleu[0]:.1f} |" in text
    assert str(made.folder.parents[1]) not in text + made.manifest.model_dump_json()
    config = made.manifest.provenance.config
    assert config["network"] in ("attention", "nic")
    assert config["parameters"] == sum(p.numel() for p in made.results.module.parameters())
    names = [one.name for one in made.manifest.provenance.data]
    assert names == ["begun.pth", "things (pictures of the user)"]


@pytest.mark.parametrize("lead", [0.5, 0.001])
def test_golden_pictures_are_those_of_the_surest_captions(
    made: Made, lead: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = golden_candidates(64, 96)[:6]
    leads = {1: 0.9 * lead, 3: lead}

    def run(module: Any, picture: Any, most: int) -> Arrays:
        place = next(at for at, each in enumerate(few) if np.array_equal(each, picture))
        second = -1 - leads.get(place, 0.0)
        return {"scores": np.array([-1.0, second if most == LONGEST or place == 1 else -1.0])}

    monkeypatch.setattr(publishing, "golden_candidates", lambda *_: list(few))
    monkeypatch.setattr(publishing, "_run", run)
    golden = publishing._golden(made.results.module, 64, 96)
    at = [
        next(at for at, each in enumerate(few) if np.array_equal(each, one["images"]))
        for one in golden
    ]
    # The first that is well ahead will do; where none is, the one that is furthest.
    assert at == ([1, 0] if lead == 0.5 else [3, 1])
    assert [int(one["max_length"]) for one in golden] == [LONGEST, LONGEST // 3]


async def test_the_service_answers_with_the_searchs_captions(made: Made) -> None:
    test = made.results.gathered.test
    items: list[Arrays] = [{**item, "max_length": limit(LONGEST)} for item in made.pictures]
    app = create_app(Settings(models=made.folder.parent))
    words = made.results.gathered.vocabulary.words
    async with app.router.lifespan_context(app):
        while not app.state.sightline.registry.ready:
            await asyncio.sleep(0.01)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            for truth, found in zip(test.captioned.items, made.expected(items), strict=True):
                response = await client.post(
                    "/caption",
                    params={"num_captions": BEAMS, "model": "things"},
                    content=truth.path.read_bytes(),
                    headers={"content-type": "image/png"},
                )
                assert response.status_code == 200, response.text
                expected: dict[str, float] = {}
                for tokens, score in zip(found["tokens"], found["scores"], strict=True):
                    told = [words[token] for token in tokens if token]
                    if told:
                        expected.setdefault(sentence(told), float(np.exp(score)))
                answered = {one["text"]: one["score"] for one in response.json()["captions"]}
                assert list(answered) == list(expected)
                assert answered == pytest.approx(expected, abs=1e-4)


def test_a_graphs_captions_are_pytorchs(made: Made) -> None:
    test = made.results.gathered.test
    vocabulary = made.results.gathered.vocabulary
    found = captions_with(made.session, made.pictures, test)
    expected = [
        vocabulary.decode(one["tokens"][0].tolist()) for one in made.expected(made.pictures)
    ]
    assert found == expected
