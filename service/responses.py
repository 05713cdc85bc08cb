"""What the OpenAPI document says of answers that many routes have."""

from typing import Any, Final

from pydantic import BaseModel

from service.errors import PROBLEM_JSON

BINARY: Final = {"type": "string", "format": "binary"}

_RETRY_AFTER: Final = {
    "Retry-After": {
        "description": "Seconds after which to try again.",
        "schema": {"type": "integer", "minimum": 1},
    }
}
DEVICE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "headers": {
            "Sightline-Device": {
                "description": "Where the model ran: cpu or cuda, then '; degraded' if not meant.",
                "required": True,
                "schema": {"type": "string"},
            }
        }
    }
}
"""What an answer of a model has."""

VARY: Final = {
    "Vary": {
        "description": "`Accept`: it decides what the answer comes as.",
        "required": True,
        "schema": {"type": "string"},
    }
}

_MEANING: Final = {
    400: "The request is malformed.",
    404: "There is no such model.",
    406: "The answer comes in no media type that `Accept` allows.",
    408: "The body did not arrive in time.",
    413: "More bytes, pixels, frames, files or memory of a run than the limits allow.",
    415: "Not an image format the service reads, or a Content-Type it does not take.",
    422: "A parameter is out of range or unknown, or the image is damaged or of no use.",
    429: "The queue or the memory for bodies is full; `Retry-After` says when to come back.",
    500: "The model failed on this input.",
    503: "The model is not loaded, the service is stopping, or memory is short for now.",
    504: "The deadline passed.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problem details a route may answer with, by status."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        status: {
            "description": _MEANING[status],
            "content": {PROBLEM_JSON: schema},
            **({"headers": _RETRY_AFTER} if status in (429, 503) else {}),
        }
        for status in statuses
    }


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """A model's JSON schema in one piece, for where the document cannot refer to its parts."""
    schema = model.model_json_schema()
    parts = schema.pop("$defs", {})

    def whole(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return whole(parts[node["$ref"].rpartition("/")[2]])
            return {key: whole(value) for key, value in node.items()}
        return [whole(each) for each in node] if isinstance(node, list) else node

    found: dict[str, Any] = whole(schema)
    return found
