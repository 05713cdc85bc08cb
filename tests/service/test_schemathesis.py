"""The OpenAPI document is kept, whatever it allows or forbids is sent: schemathesis in process."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from fabricate import Tiny, TinyCaptioner, TinyDetector, TinySegmenter, TinyStylizer
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from pictures import seeds
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.python.asgi import get_client
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from service.app import create_app
from service.settings import Settings

EXAMPLES = 300
# Left out: positive_data_acceptance and negative_data_rejection, since a body that fits the
# document ("any bytes") is hardly ever a picture.
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
    allow_header_conformance,
]
CONFIG = {
    "base-url": "http://testserver",
    "generation": {"mode": "all", "max-examples": EXAMPLES, "deterministic": True},
}


document = schemathesis.openapi.from_path(
    Path(__file__).parents[2] / "docs/openapi.json", config=SchemathesisConfig.from_dict(CONFIG)
)


schemathesis.serializer.alias(["image/bmp", "image/tiff"], "application/octet-stream")
for kind in ("jpeg", "png", "webp", "gif", "bmp", "tiff"):
    good = [data for name, data in seeds().items() if name.startswith(kind)]
    schemathesis.openapi.media_type(f"image/{kind}", st.sampled_from(good) | st.binary())


@pytest.fixture
def client(tmp_path: Path) -> Iterator[requests.Session]:
    """A client, in process, of an application that serves the tiny models."""
    Tiny().write(tmp_path)
    TinyDetector().write(tmp_path)
    TinySegmenter().write(tmp_path)
    TinyCaptioner().write(tmp_path)
    TinyStylizer().write(tmp_path)
    app: Any = create_app(Settings(models=tmp_path))
    with get_client(app) as session:  # schemathesis ends the application with the test
        while session.get("/readyz").status_code == 503:
            time.sleep(0.005)
        yield session


# The many routes of other services' protocols are alike, and read pictures as ours do.
PROTOCOLS = r"^/(v2|hf|v1)(/|$)"


@document.exclude(path_regex=PROTOCOLS).parametrize()
@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
def test_every_answer_is_one_the_document_describes(
    case: schemathesis.Case[Any], client: requests.Session
) -> None:
    case.call_and_validate(session=client, checks=CHECKS)


@document.include(path_regex=PROTOCOLS).parametrize()
@settings(
    max_examples=EXAMPLES // 5,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
def test_every_answer_in_another_protocol_is_one_the_document_describes(
    case: schemathesis.Case[Any], client: requests.Session
) -> None:
    case.call_and_validate(session=client, checks=CHECKS)


@document.include(path=["/detect", "/segment", "/stylize"]).parametrize()
@settings(
    max_examples=EXAMPLES // 3,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
def test_every_picture_answer_is_one_the_document_describes(
    case: schemathesis.Case[Any], client: requests.Session
) -> None:
    accept = {"accept": "image/webp, image/jpeg;q=0.5"}
    case.call_and_validate(session=client, checks=CHECKS, headers=accept)
