"""Logging: one line a record, as text or as JSON, with the id of the request in work."""

import logging
from typing import Literal

from pythonjsonlogger.json import JsonFormatter

from service.request_record import current

LogFormat = Literal["text", "json"]

_TEXT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class _NameRequest(logging.Filter):
    """Gives every record the id of the request in work, unless it has one already."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not hasattr(record, "request_id"):
            request = current.get()
            record.request_id = request.id if request is not None else None
        return True


class _Text(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        line = super().formatMessage(record)
        request_id = getattr(record, "request_id", None)
        return f"{line} [{request_id}]" if request_id else line


class _Json(JsonFormatter):
    """ISO 8601 time in UTC, then what the record has; what is None is left out."""

    def process_log_record(self, log_data: dict[str, object]) -> dict[str, object]:
        return {name: value for name, value in log_data.items() if value is not None}


def configure_logging(level: str, log_format: LogFormat = "text") -> None:
    """Log to standard error, one line a record; the server's own records among them."""
    handler = logging.StreamHandler()
    handler.addFilter(_NameRequest())
    handler.setFormatter(formatter_of(log_format))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def formatter_of(log_format: LogFormat) -> logging.Formatter:
    """What makes a line of a record."""
    if log_format == "text":
        return _Text(_TEXT)
    return _Json(
        ["levelname", "name", "message", "request_id"],
        rename_fields={"levelname": "level", "name": "logger"},
        # What uvicorn adds for a terminal says the same again, with colours.
        reserved_attrs=[*logging.makeLogRecord({}).__dict__, "message", "asctime", "color_message"],
        timestamp="time",
        json_ensure_ascii=False,
    )
