"""The Open Inference Protocol, request by request, in process."""

import asyncio
import base64
import gzip
import json
import struct
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from asgi import Client, until
from conftest import encoded
from documented import client_of
from fabricate import Tiny, TinyCaptioner, TinyDetector, TinySegmenter, TinyStylizer
from fastapi import FastAPI

from service.app import create_app
from service.settings import Settings

LENGTH = "Inference-Header-Content-Length"
INFER = "/v2/models/tiny/infer"
DARK = np.zeros((1, 16, 16, 3), np.uint8)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A classifier alone."""
    Tiny(work=20).write(tmp_path)
    return tmp_path


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as http:
        yield http


@asynccontextmanager
async def serving(models: Path, **changes: Any) -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    app = create_app(Settings(models=models, **changes))
    async with app.router.lifespan_context(app), client_of(app) as client:
        while not app.state.sightline.registry.ready:
            await asyncio.sleep(0.005)
        yield app, client


@pytest.fixture
async def all_tasks(models: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A model of every task."""
    TinyDetector().write(models)
    TinySegmenter(resize="pad_to_multiple").write(models)
    TinyCaptioner().write(models)
    TinyStylizer().write(models)
    async with serving(models) as (_, client):
        yield client


def tensor(array: np.ndarray[Any, Any], name: str = "images", **changes: Any) -> dict[str, Any]:
    datatype = {"uint8": "UINT8", "int32": "INT32", "float32": "FP32"}[str(array.dtype)]
    return {
        "name": name,
        "datatype": datatype,
        "shape": list(array.shape),
        "data": array.ravel().tolist(),
        **changes,
    }


def strings(*elements: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(each)) + each for each in elements)


def framed(document: dict[str, Any], behind: bytes) -> tuple[bytes, dict[str, str]]:
    text = json.dumps(document).encode()
    return text + behind, {LENGTH: str(len(text)), "content-type": "application/octet-stream"}


def pictures(*images: bytes, **more: Any) -> tuple[bytes, dict[str, str]]:
    behind = strings(*images)
    given = {
        "name": "images",
        "datatype": "BYTES",
        "shape": [len(images)],
        "parameters": {"binary_data_size": len(behind)},
    }
    return framed({"inputs": [given], **more}, behind)


async def ask(client: httpx.AsyncClient, path: str = INFER, **document: Any) -> Any:
    response = await client.post(path, json=document)
    assert response.status_code == 200, response.text
    return response.json()


async def test_nested_and_flat_numbers_are_the_same(client: httpx.AsyncClient) -> None:
    green = DARK.copy()
    green[..., 1] = 100
    green[:, 0, 0, 1] = 0
    flat = await ask(client, id="me", inputs=[tensor(green)])
    nested = await ask(client, inputs=[tensor(green, data=green.tolist())])
    assert flat == {**nested, "id": "me"}
    (logits,) = flat["outputs"]
    assert (logits["name"], logits["datatype"], logits["shape"]) == ("logits", "FP32", [1, 3])
    assert logits["data"][0] == logits["data"][2] == 0
    assert logits["data"][1] == pytest.approx(10, rel=0.01)


async def test_bytes_alone_are_one_item_and_answered_by_bytes(all_tasks: httpx.AsyncClient) -> None:
    response = await all_tasks.post(
        INFER,
        content=bytes(16 * 16 * 3),
        headers={LENGTH: "0", "content-type": "application/octet-stream"},
    )
    assert response.status_code == 200
    length = int(response.headers[LENGTH])
    assert json.loads(response.content[:length])["outputs"][0]["shape"] == [1, 3]
    assert response.content[length:] == bytes(12)
    assert response.headers["content-type"] == "application/octet-stream"
    response = await all_tasks.post("/v2/models/colours/infer", content=b"1", headers={LENGTH: "0"})
    assert response.status_code == 400
    assert "no bytes alone" in response.json()["error"]


@pytest.mark.parametrize(("task", "model"), [("classify", "tiny"), ("detect", "boxes")])
async def test_the_answer_is_that_of_our_own_route(
    all_tasks: httpx.AsyncClient, red: bytes, task: str, model: str
) -> None:
    ours = (await all_tasks.post(f"/{task}", files={"file": red}, params={"threshold": 0.1})).json()
    body, headers = pictures(red, parameters={"threshold": 0.1})
    response = await all_tasks.post(f"/v2/models/{model}/infer", content=body, headers=headers)
    (output,) = response.json()["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("answer", "BYTES", [1])
    theirs = json.loads(output["data"][0])
    for answer in (ours, theirs):
        assert answer.pop("timing_ms")["total"] > 0
    assert theirs == ours


async def test_pictures_in_json_are_base64(client: httpx.AsyncClient, red: bytes) -> None:
    given = {"name": "images", "datatype": "BYTES", "shape": [1, 1]}
    data = [base64.b64encode(red).decode()]
    answer = await ask(client, inputs=[{**given, "data": data}])
    assert json.loads(answer["outputs"][0]["data"][0])["predictions"][0]["label"] == "red"
    for wrong, status in (([base64.b64encode(b"text").decode()], 415), (["%"], 400), ([""], 400)):
        response = await client.post(INFER, json={"inputs": [{**given, "data": wrong}]})
        assert response.status_code == status


async def test_the_graphs_own_outputs_of_a_picture(client: httpx.AsyncClient, red: bytes) -> None:
    body, headers = pictures(red, red, outputs=[{"name": "logits"}, {"name": "answer"}])
    logits, answer = (await client.post(INFER, content=body, headers=headers)).json()["outputs"]
    assert logits["shape"] == [2, 3]
    assert logits["data"][0] == pytest.approx(25)
    assert answer["shape"] == [2]


async def test_a_picture_takes_on_a_preset(all_tasks: httpx.AsyncClient, red: bytes) -> None:
    path = "/v2/models/styles/infer"
    body, headers = pictures(red, parameters={"style": "wave:0.7,fire:0.3", "alpha": 0.5})
    response = await all_tasks.post(path, content=body, headers=headers)
    (output,) = response.json()["outputs"]
    assert (output["name"], output["shape"]) == ("stylized", [1, 16, 16, 3])
    body, headers = pictures(red)
    response = await all_tasks.post(path, content=body, headers=headers)
    assert response.status_code == 422
    assert "wave" in response.json()["error"]
    other = encoded((1, 2, 3), size=20)
    body, headers = pictures(red, other, parameters={"style": "wave"})
    response = await all_tasks.post(path, content=body, headers=headers)
    assert response.status_code == 400
    assert "another shape for each picture" in response.json()["error"]


async def test_classes_are_told_with_value_position_and_label(client: httpx.AsyncClient) -> None:
    green = DARK.copy()
    green[:, 1:, :, 1] = 255
    outputs = [{"name": "logits", "parameters": {"classification": 2}}]
    (told,) = (await ask(client, inputs=[tensor(green)], outputs=outputs))["outputs"]
    assert told["datatype"] == "BYTES"
    assert told["shape"] == [1, 2]
    assert told["data"] == ["23.906250:1:green", "0.000000:0:red"]
    outputs[0]["parameters"] = {"classification": 99}
    (told,) = (await ask(client, inputs=[tensor(green)], outputs=outputs))["outputs"]
    assert told["shape"] == [1, 3]


async def test_a_graph_of_several_inputs_takes_all_of_them(all_tasks: httpx.AsyncClient) -> None:
    inputs = [tensor(DARK), tensor(np.array([1], np.int32), "max_length")]
    outputs = (await ask(all_tasks, "/v2/models/sentences/infer", inputs=inputs))["outputs"]
    told = {output["name"]: output for output in outputs}
    assert list(told) == ["tokens", "lengths", "scores", "attention"]
    assert told["tokens"]["datatype"] == "INT32"
    assert told["tokens"]["shape"] == [1, 3, 5]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "identity", "GZIP"])
async def test_a_compressed_body_is_read(client: httpx.AsyncClient, encoding: str) -> None:
    body = json.dumps({"inputs": [tensor(DARK)]}).encode()
    packed = {"gzip": gzip.compress(body), "deflate": zlib.compress(body)}.get(
        encoding.lower(), body
    )
    response = await client.post(INFER, content=packed, headers={"content-encoding": encoding})
    assert response.status_code == 200, response.text


async def test_what_inflates_to_more_than_a_body_may_have_is_refused(models: Path) -> None:
    async with serving(models, max_body_mib=1) as (_, client):
        bomb = gzip.compress(bytes(100 << 20))
        headers = {"content-encoding": "gzip"}
        response = await client.post(INFER, content=bomb, headers=headers)
        assert response.status_code == 413
        assert "when inflated" in response.json()["error"]
        for broken in (b"no gzip", bomb[:100], gzip.compress(b"{}") + b"more", b""):
            response = await client.post(INFER, content=broken, headers=headers)
            assert response.status_code == 400
        headers = {"content-encoding": "br"}
        assert (await client.post(INFER, content=b"x", headers=headers)).status_code == 415


def _broken() -> Iterator[tuple[str, Any, str]]:
    good = tensor(DARK)
    bare = {key: value for key, value in good.items() if key != "data"}
    yield "no document", [], "malformed"
    yield "no inputs", {}, "malformed"
    yield "empty inputs", {"inputs": []}, "malformed"
    yield "too many inputs", {"inputs": [good] * 65}, "malformed"
    yield "shape of text", {"inputs": [{**good, "shape": "1"}]}, "malformed"
    yield "negative length", {"inputs": [{**good, "shape": [-1, 16, 16, 3]}]}, "malformed"
    yield "no items", {"inputs": [{**good, "shape": [0, 16, 16, 3], "data": []}]}, "less than 1"
    yield "other shape", {"inputs": [{**good, "shape": [1, 16, 16, 4]}]}, "takes UINT8"
    yield "other rank", {"inputs": [{**good, "shape": [16, 16, 3]}]}, "takes UINT8"
    yield "huge batch", {"inputs": [{**good, "shape": [10**30, 16, 16, 3]}]}, "elements"
    yield "other type", {"inputs": [{**good, "datatype": "FP32"}]}, "takes UINT8"
    yield "unknown type", {"inputs": [{**good, "datatype": "X" * 200}]}, "takes UINT8"
    yield "no data", {"inputs": [bare]}, "neither data nor"
    yield "unknown input", {"inputs": [{**good, "name": "pixels"}]}, "the model takes 'images'"
    yield "twice", {"inputs": [good, good]}, "the model takes 'images'"
    yield "unknown output", {"inputs": [good], "outputs": [{"name": "x"}]}, "there are 'logits'"
    twice = [{"name": "logits"}] * 2
    yield "same output twice", {"inputs": [good], "outputs": twice}, "there are 'logits'"
    answer = [{"name": "answer"}]
    yield "answer to a tensor", {"inputs": [good], "outputs": answer}, "there are 'logits'"
    for classes in (-1, True, 1.5, "2"):
        outputs = [{"name": "logits", "parameters": {"classification": classes}}]
        yield f"{classes!r} classes", {"inputs": [good], "outputs": outputs}, "number of classes"
    shared = {"shared_memory_region": "r", "shared_memory_byte_size": 1}
    yield "shared memory", {"inputs": [{**good, "parameters": shared}]}, "no shared memory"
    outputs = [{"name": "logits", "parameters": {"shared_memory_region": "r"}}]
    yield "shared output", {"inputs": [good], "outputs": outputs}, "no shared memory"
    yield "sequence", {"inputs": [good], "parameters": {"sequence_id": 1}}, "no sequences"
    for timeout in (-1, "1", True):
        parameters = {"timeout": timeout}
        yield f"timeout {timeout!r}", {"inputs": [good], "parameters": parameters}, "microseconds"
    for size in (-1, 1, "0", True, 1.0):
        given = {**bare, "parameters": {"binary_data_size": size}}
        yield f"{size!r} bytes", {"inputs": [given]}, "binary_data_size"
    both = {**good, "parameters": {"binary_data_size": 0}}
    yield "data and bytes", {"inputs": [both]}, "both data and"


@pytest.mark.parametrize(
    ("document", "why"), [(d, w) for _, d, w in _broken()], ids=[name for name, _, _ in _broken()]
)
async def test_what_does_not_suit_the_model_is_400(
    client: httpx.AsyncClient, document: Any, why: str
) -> None:
    response = await client.post(INFER, json=document)
    assert response.status_code == 400
    problem = response.json()
    assert why in problem["detail"]
    assert problem["error"] == problem["detail"]
    assert problem["success"] is False


@pytest.mark.parametrize("length", ["-1", "1e3", "9" * 30, "²", "", "100000"])
async def test_another_length_than_the_documents_is_400(
    client: httpx.AsyncClient, length: str
) -> None:
    body = json.dumps({"inputs": [tensor(DARK)]}).encode()
    response = await client.post(INFER, content=body, headers={LENGTH.encode(): length.encode()})
    assert response.status_code == 400


async def test_bytes_that_belong_to_no_input_are_400(client: httpx.AsyncClient) -> None:
    body, headers = framed({"inputs": [tensor(DARK)]}, b"more")
    response = await client.post(INFER, content=body, headers=headers)
    assert response.status_code == 400
    assert "belong to no input" in response.json()["error"]


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000, b'{"inputs": NaN}'])
async def test_what_is_no_json_is_400(client: httpx.AsyncClient, text: bytes) -> None:
    assert (await client.post(INFER, content=text)).status_code == 400


@pytest.mark.parametrize(
    ("model", "images", "more", "why"),
    [
        ("colours", (1, 16, 16, 3), {}, "its H is from 4 to 12"),
        ("colours", (1, 12, 5000, 3), {}, "its W is from 4 to 16"),
        ("colours", (1, 6, 8, 3), {}, "in steps of 4"),
        ("styles", (1, 8, 64, 3), {"alpha": [0.5], "code": None}, "its H is from 16"),
        ("styles", (1, 16, 16, 3), {"alpha": [1.5], "code": None}, "outside of 0 to 1"),
        ("styles", (1, 16, 16, 3), {"alpha": [float("nan")], "code": None}, "'alpha'"),
        ("sentences", (1, 16, 16, 3), {"max_length": [0]}, "outside of 1 to 5"),
        ("sentences", (1, 16, 16, 3), {"max_length": [6]}, "outside of 1 to 5"),
        ("sentences", (1, 16, 16, 3), {"max_length": [1, 1]}, "batches of 1 and 2"),
    ],
)
async def test_what_a_graph_relies_on_is_held_against_the_manifest(
    all_tasks: httpx.AsyncClient,
    model: str,
    images: tuple[int, ...],
    more: dict[str, list[float] | None],
    why: str,
) -> None:
    described = (await all_tasks.get(f"/v2/models/{model}")).json()["inputs"]
    widths = {each["name"]: each["shape"][1:] for each in described}
    behind = bytes(int(np.prod(images)))
    document = {"name": "images", "datatype": "UINT8", "shape": list(images)}
    inputs = [{**document, "parameters": {"binary_data_size": len(behind)}}]
    for name, values in more.items():
        dtype = np.int32 if name == "max_length" else np.float32
        array = np.zeros((1, *widths[name]), dtype) if values is None else np.array(values, dtype)
        behind += array.tobytes()
        size = {"binary_data_size": array.nbytes}
        inputs.append({**tensor(array, name), "parameters": size})
        del inputs[-1]["data"]
    body, headers = framed({"inputs": inputs}, behind)
    response = await all_tasks.post(f"/v2/models/{model}/infer", content=body, headers=headers)
    assert response.status_code == 400, response.text
    assert why in response.json()["error"]


async def test_parameters_are_those_of_the_task(all_tasks: httpx.AsyncClient, red: bytes) -> None:
    for parameters in ({"top_k": 0}, {"topk": 1}, {"model": "tiny"}, {"threshold": "x"}):
        body, headers = pictures(red, parameters=parameters)
        response = await all_tasks.post(INFER, content=body, headers=headers)
        assert response.status_code == 422
        assert next(iter(parameters)) in response.json()["error"]
    body, headers = pictures(red, parameters={"classes": "traffic light, red", "threshold": 0})
    response = await all_tasks.post("/v2/models/boxes/infer", content=body, headers=headers)
    assert response.status_code == 200


async def test_encoded_pictures_are_as_many_as_files_may_be(
    client: httpx.AsyncClient, red: bytes
) -> None:
    body, headers = pictures(*[red] * 17)
    response = await client.post(INFER, content=body, headers=headers)
    assert response.status_code == 413
    body, headers = pictures(*[red] * 16)
    assert (await client.post(INFER, content=body, headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "shape", [[], [2], [1, 2], [1, 1, 1], [0]], ids=["none", "more", "rows", "rank 3", "0"]
)
async def test_other_shapes_of_pictures_are_400(
    client: httpx.AsyncClient, red: bytes, shape: list[int]
) -> None:
    behind = strings(red)
    size = {"binary_data_size": len(behind)}
    given = {"name": "images", "datatype": "BYTES", "shape": shape, "parameters": size}
    body, headers = framed({"inputs": [given]}, behind)
    assert (await client.post(INFER, content=body, headers=headers)).status_code == 400


async def test_models_and_versions_that_there_are_not_are_404(client: httpx.AsyncClient) -> None:
    for path in ("/v2/models/none", "/v2/models/tiny/versions/2", "/v2/models/none/stats"):
        for suffix in ("", "/ready", "/config"):
            assert (await client.get(path + suffix)).status_code == 404
    response = await client.post("/v2/models/none/infer", json={})
    assert response.status_code == 404
    assert "no model 'none'" in response.json()["error"]
    assert (await client.get("/v2/nothing")).json()["error"] == "Not Found"


async def test_more_items_than_ever_fit_are_413_and_those_that_fit_share_runs(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    capacity = app.state.sightline.registry.models["tiny"].admission.capacity
    for count, status in ((capacity + 1, 413), (capacity, 200)):
        behind = bytes(count * 16 * 16 * 3)
        size = {"binary_data_size": len(behind)}
        shape = [count, 16, 16, 3]
        given = {"name": "images", "datatype": "UINT8", "shape": shape, "parameters": size}
        body, headers = framed({"inputs": [given]}, behind)
        response = await client.post(INFER, content=body, headers=headers)
        assert response.status_code == status
    tally = app.state.sightline.registry.models["tiny"].meter.tally

    def counted() -> bool:  # a run is, once its answers are on their way
        runs = tally.read().runs
        return bool(sum(size * spent.count for size, spent in runs.items()) == capacity)

    await until(counted)
    (told,) = (await client.get("/v2/models/tiny/stats")).json()["model_stats"]
    assert told["inference_count"] == capacity
    assert told["execution_count"] < capacity
    assert told["inference_stats"]["success"]["count"] == capacity
    assert told["inference_stats"]["fail"]["count"] == 0
    assert max(each["batch_size"] for each in told["batch_stats"]) == 2


async def test_a_full_queue_is_429_and_a_client_that_leaves_frees_it(models: Path) -> None:
    async with serving(models, slots=1, max_batch=1, queue_size=1, cpus=1) as (app, client):
        model = app.state.sightline.registry.models["tiny"]
        slow = DARK.repeat(2, axis=0)
        slow[:, 0, 0, 1] = 60
        document = json.dumps({"inputs": [tensor(slow)]}).encode()
        leaver = Client(app, document, "application/json", path=INFER)
        await until(lambda: model.admission.count == 2)
        refused = await client.post(INFER, json={"inputs": [tensor(DARK)]})
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert "2 items are in work" in refused.json()["error"]
        leaver.leave()
        await until(lambda: model.admission.count == 0)
        assert not model.batcher.queued
        response = await client.post(INFER, json={"inputs": [tensor(DARK)]})
        assert response.status_code == 200
        parameters = {"timeout": 1}
        late = {"inputs": [tensor(DARK)], "parameters": parameters}
        assert (await client.post(INFER, json=late)).status_code == 504
        stats = (await client.get("/v2/models/stats")).json()["model_stats"]
        (told,) = [each for each in stats if each["name"] == "tiny"]
        assert told["inference_stats"]["fail"]["count"] == 1


async def test_before_models_are_loaded_nothing_is_ready(models: Path) -> None:
    async with client_of(create_app(Settings(models=models))) as client:
        assert (await client.get("/v2/health/live")).json() == {"live": True}
        for path in ("health/ready", "models/stats", "models/tiny", "models/tiny/ready"):
            response = await client.get(f"/v2/{path}")
            assert response.status_code == 503
            assert response.json()["error"]
