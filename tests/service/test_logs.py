"""What a line of the log looks like."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from service.logs import LogFormat, configure_logging
from service.request_record import RequestRecord, current


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def log_to(log_format: LogFormat) -> io.StringIO:
    configure_logging("info", log_format)
    stream = io.StringIO()
    (handler,) = logging.getLogger().handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(stream)
    return stream


def test_text_is_one_line_with_the_request_at_its_end() -> None:
    stream = log_to("text")
    logging.getLogger("some.where").warning("it is %d", 7)
    token = current.set(RequestRecord("me"))
    logging.getLogger("some.where").info("within")
    logging.getLogger("some.where").info("of another", extra={"request_id": "other"})
    logging.getLogger("some.where").debug("not shown")
    current.reset(token)
    first, second, third = stream.getvalue().splitlines()
    assert first.endswith("WARNING some.where: it is 7")
    assert second.endswith("INFO    some.where: within [me]")
    assert third.endswith("of another [other]")


def test_json_is_an_object_a_line_whatever_is_logged() -> None:
    stream = log_to("json")
    token = current.set(RequestRecord("me"))
    try:
        raise ValueError("of two\nlines")
    except ValueError:
        logging.getLogger("some.where").exception("not\ngood: %s", "ü", extra={"model": "tiny"})
    current.reset(token)
    logging.getLogger("uvicorn.error").info("Started %d", 3, extra={"color_message": "\x1b[3m"})
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first["message"] == "not\ngood: ü"
    assert (first["level"], first["logger"]) == ("ERROR", "some.where")
    assert (first["model"], first["request_id"]) == ("tiny", "me")
    assert "ValueError: of two\nlines" in first["exc_info"]
    assert abs((datetime.fromisoformat(first["time"]) - datetime.now(UTC)).total_seconds()) < 3600
    assert second.keys() == {"level", "logger", "message", "time"}
    assert second["message"] == "Started 3"
