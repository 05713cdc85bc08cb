"""Thousands of damaged, odd and hostile pictures against the whole service, in process."""

import asyncio
import gc
import io
import sys
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import hostile
import httpx
import pytest
from conftest import encoded
from fabricate import Tiny, TinyCaptioner, TinyDetector, TinySegmenter, TinyStylizer
from fastapi import FastAPI
from pictures import seeds
from PIL import Image

from service.errors import Problem

pytestmark = pytest.mark.hostile

#: Of a good file: most of them for one endpoint, as all read pictures alike.
MUTATIONS = {"/classify": 10_000}
FEWER_MUTATIONS = 2_000
SEED = 2
ACCEPTABLE = (200, 400, 413, 415, 422)
# What a warm service may still grow by while it answers a quarter of the mutations. Nothing it
# does should stay.
MAY_GROW_MIB = 4
GOOD = encoded((250, 0, 0))


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A model of each task that fails on no picture."""
    Tiny().write(tmp_path)
    TinyDetector().write(tmp_path)
    TinySegmenter(options={}).write(tmp_path)
    TinyCaptioner(resize="letterbox").write(tmp_path)
    TinyStylizer().write(tmp_path)
    return tmp_path


@pytest.fixture(
    params=[
        "/classify",
        "/detect",
        "/detect drawn",
        "/segment?mask=polygon",
        "/segment drawn",
        "/caption?attention=true",
        "/stylize?style=wave&preserve_color=true drawn",
        "/stylize style",
        "/stylize both",
    ]
)
def endpoint(request: pytest.FixtureRequest) -> str:
    """Where pictures are posted to, and whether a picture is to come back or what they are."""
    return str(request.param)


class Client(httpx.AsyncClient):
    """A client of one endpoint."""

    part = ""
    """What its pictures are in a form: "style", of a good picture, or "both"; nothing else."""

    async def send_picture(self, data: bytes) -> httpx.Response:
        """Post one picture."""
        if self.part:
            content = data if self.part == "both" else GOOD
            files = [("content", ("x", content)), ("style", ("x", data))]
            return await self.post("/", files=files)
        raw = {"content-type": "application/octet-stream"}
        return await self.post("/", content=data, headers=raw)


@pytest.fixture
async def client(app: FastAPI, endpoint: str) -> AsyncIterator[Client]:
    """A client that sees an answer even where the application raises.

    What it posts goes to one endpoint, and comes back in one kind of answer.
    """
    path, _, how = endpoint.partition(" ")

    async def to_the_endpoint(sent: httpx.Request) -> None:
        sent.url = sent.url.join(path)

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with Client(
        transport=transport,
        base_url="http://test",
        headers={"accept": "image/jpeg" if how else "*/*"},
        event_hooks={"request": [to_the_endpoint]},
    ) as http:
        http.part = how.removeprefix("drawn")
        yield http


async def status_of(client: Client, data: bytes) -> int:
    """The status of a picture's answer, which is checked to be an answer or a problem."""
    response = await client.send_picture(data)
    if response.headers["content-type"] == "image/jpeg":
        assert response.status_code == 200
        Image.open(io.BytesIO(response.content)).verify()
    elif response.status_code == 200:
        assert answered(response.json())
    else:
        assert response.headers["content-type"] == "application/problem+json"
        problem = Problem.model_validate_json(response.content)
        assert problem.status == response.status_code
        assert len(problem.detail) < 500
    return response.status_code


def answered(body: dict[str, Any]) -> bool:
    """Whether a body is an answer with all that a task knows of any picture."""
    if "segments" in body:  # of a model without a background
        return bool(sum(segment["share"] for segment in body["segments"]) > 0.99)
    if "captions" in body:
        (caption,) = body["captions"]
        return len(caption["words"]) == 5
    return len(body.get("predictions", ())) == 3 or isinstance(body.get("detections"), list)


async def statuses_of(client: Client, files: Iterable[tuple[str, bytes]]) -> dict[str, int]:
    """Every file's status, by its name."""
    return {name: await status_of(client, data) for name, data in files}


async def test_no_mutation_of_a_good_file_is_more_than_a_problem(
    client: Client, endpoint: str
) -> None:
    count = MUTATIONS.get(endpoint, FEWER_MUTATIONS)
    statuses = await statuses_of(client, hostile.mutations(count, SEED))
    assert len(statuses) == count
    unexpected = {name: s for name, s in statuses.items() if s not in ACCEPTABLE}
    assert not unexpected
    # The damage is neither so light that all is read nor so heavy that nothing is looked at.
    for status in (200, 415, 422):
        assert count / 50 < list(statuses.values()).count(status) < count * 0.9
    assert await status_of(client, GOOD) == 200


@pytest.mark.parametrize("corpus", ["too_large", "of_many_parts", "oddities"])
async def test_every_made_trap_has_its_answer(client: Client, corpus: str) -> None:
    traps: list[hostile.Odd] = list(getattr(hostile, corpus)())
    assert len({trap.name for trap in traps}) == len(traps)
    statuses = await statuses_of(client, ((trap.name, trap.data) for trap in traps))
    wrong = {t.name: statuses[t.name] for t in traps if statuses[t.name] not in t.statuses}
    assert not wrong
    assert await status_of(client, GOOD) == 200


async def test_the_undamaged_files_are_all_read(client: Client) -> None:
    statuses = await statuses_of(client, seeds().items())
    assert set(statuses.values()) == {200}


async def test_hostile_and_good_pictures_at_once_do_not_disturb_each_other(
    client: Client,
) -> None:
    def told(response: httpx.Response) -> object:
        if response.headers["content-type"] != "application/json":
            return response.content
        body = response.json()
        kinds = ("predictions", "detections", "segments", "captions")
        return next(body[kind] for kind in kinds if kind in body)

    async def ask(colour: tuple[int, int, int]) -> object:
        response = await client.send_picture(encoded(colour))
        assert response.status_code == 200
        return told(response)

    async def good(colour: tuple[int, int, int]) -> None:
        for _ in range(20):
            assert await ask(colour) == undisturbed[colour]

    colours = ((250, 0, 0), (0, 200, 200), (250, 250, 250))
    undisturbed = {colour: await ask(colour) for colour in colours}
    assert len({str(answer) for answer in undisturbed.values()}) == len(colours)
    await asyncio.gather(
        *map(good, colours),
        statuses_of(client, hostile.mutations(200, SEED + 1)),
        statuses_of(client, hostile.mutations(200, SEED + 2)),
    )


async def test_bad_pictures_in_one_form_fail_alone(client: Client, endpoint: str) -> None:
    if endpoint.startswith("/stylize"):
        pytest.skip("one picture an answer")
    bad = [data for _, data in hostile.mutations(60, SEED + 3)]
    for at in range(0, len(bad), 15):
        batch = [*bad[at : at + 15], GOOD]
        response = await client.post(
            "/",
            files=[("file", ("x", data)) for data in batch],
            headers={"accept": "application/json"},  # which several pictures have their answers in
        )
        if response.status_code == 400:  # one was cut down to nothing
            assert b"" in batch
            continue
        assert response.status_code == 200
        answers = response.json()
        assert len(answers) == len(batch)
        assert answered(answers[-1])
        assert {answer.get("status", 200) for answer in answers} <= set(ACCEPTABLE)


def held_mib() -> float:
    """Memory of its own that this process holds now; files that are mapped, it does not own.

    What the system has written to the swap is held as well: it comes back as it is touched.
    """
    gc.collect()
    status = Path("/proc/self/status").read_text()
    held = (status.partition(f"{kind}:")[2].split()[0] for kind in ("RssAnon", "VmSwap"))
    return sum(map(int, held)) / 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads memory from /proc")
async def test_a_warm_service_does_not_grow(client: Client, endpoint: str) -> None:
    count = MUTATIONS.get(endpoint, FEWER_MUTATIONS) // 4

    async def grown_by(seed: int) -> float:
        before = held_mib()
        for name, data in hostile.mutations(count, seed):
            assert await status_of(client, data) in ACCEPTABLE, name
        return held_mib() - before

    await grown_by(SEED + 10)
    # The allocator takes another arena now and then, which stays; a leak grows every time.
    rounds = [await grown_by(SEED + 20 + number) for number in range(4)]
    assert min(rounds) < MAY_GROW_MIB, rounds
