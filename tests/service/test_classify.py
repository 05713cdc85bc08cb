"""``/classify``, from bytes to answer, over a tiny real graph."""

import base64

import httpx
from conftest import encoded


async def test_a_picture_is_classified_whichever_way_it_is_sent(
    client: httpx.AsyncClient, red: bytes
) -> None:
    ways = [
        await client.post("/classify", files={"file": ("cat.png", red)}),
        await client.post("/classify", content=red, headers={"content-type": "image/png"}),
        await client.post("/classify", json={"image": base64.b64encode(red).decode()}),
    ]
    for response in ways:
        assert response.status_code == 200
        body = response.json()
        assert body["model"] == {"name": "tiny", "version": "1", "precision": "fp32"}
        assert body["image"] == {"width": 16, "height": 16}
        assert body["predictions"][0]["label"] == "red"
        assert [set(p) for p in body["predictions"]] == [{"label", "index", "score"}] * 3
        assert set(body["timing_ms"]) == {"decode", "queue", "run", "total"}
        assert response.headers["sightline-device"] == "cpu"


async def test_several_pictures_each_answer_for_themselves(
    client: httpx.AsyncClient, red: bytes
) -> None:
    files = [
        ("file", ("a.png", red)),
        ("file", ("b.txt", b"no picture")),
        ("file", ("c.png", encoded((0, 0, 250)))),
    ]
    response = await client.post("/classify", files=files)
    assert response.status_code == 200
    first, second, third = response.json()
    assert first["predictions"][0]["label"] == "red"
    assert second["status"] == 415
    assert third["predictions"][0]["label"] == "blue"
