"""Fixtures: tiny models on disk, an application over them, pictures."""

import asyncio
import io
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))  # for fabricate, which is no test

from fabricate import Tiny

from service.app import create_app
from service.settings import Settings


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A models folder with the tiny classifier."""
    root = tmp_path / "models"
    root.mkdir()
    Tiny(poison=7).write(root)
    return root


@pytest.fixture
def settings(models: Path) -> Settings:
    """Settings over the models folder, otherwise the defaults."""
    return Settings(models=models)


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    """A started application whose models are loaded."""
    application = create_app(settings)
    async with application.router.lifespan_context(application):
        while not application.state.sightline.registry.ready:
            await asyncio.sleep(0.005)
        yield application


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of the application, in process."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        yield http


def encoded(colour: tuple[int, int, int], kind: str = "PNG", size: int = 16) -> bytes:
    """A picture of one colour as a file's bytes."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((size, size, 3), colour, np.uint8)).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def red() -> bytes:
    """A red PNG."""
    return encoded((250, 0, 0))
