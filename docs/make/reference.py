"""The reference of the API as a page, written from its OpenAPI document."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Schema = Mapping[str, Any]


def reference(document: Path) -> str:
    """Every operation with its parameters and answers, in Markdown."""
    api = json.loads(document.read_text())
    return "\n".join(_page(api))


def _page(api: Schema) -> Iterator[str]:
    yield "# API reference"
    yield ""
    yield (
        "Every route of the service, from [openapi.json](openapi.json), which a running service "
        "also shows at `/docs`. [Using the API](api.md) says what a document cannot."
    )
    for path, operations in api["paths"].items():
        for method, operation in operations.items():
            yield from _operation(api, method, path, operation)


def _operation(api: Schema, method: str, path: str, operation: Schema) -> Iterator[str]:
    yield f"\n## {method.upper()} {path}\n"
    yield operation.get("description") or operation.get("summary", "")
    if parameters := operation.get("parameters"):
        yield "\n| parameter | in | type | default | what it does |\n|---|---|---|---|---|"
        for each in parameters:
            schema = each["schema"]
            default = json.dumps(schema["default"]) if schema.get("default") is not None else ""
            cells = (each["name"], each["in"], _type(schema), default)
            code = " | ".join(f"`{cell}`" if cell else "" for cell in cells)
            yield f"| {code} | {_line(each.get('description') or schema.get('description', ''))} |"
    taken = operation.get("requestBody", {}).get("content", {})
    if taken:
        yield f"\nTakes {', '.join(f'`{media_type}`' for media_type in taken)}."
    yield "\n| status | answer | |\n|---:|---|---|"
    for status, response in operation["responses"].items():
        described = _resolved(api, response)
        kinds = ", ".join(f"`{media_type}`" for media_type in described.get("content", {}))
        yield f"| {status} | {kinds} | {_line(described.get('description', ''))} |"


def _resolved(api: Schema, part: Schema) -> Schema:
    if "$ref" not in part:
        return part
    found: Any = api
    for word in part["$ref"].removeprefix("#/").split("/"):
        found = found[word]
    resolved: Schema = found
    return resolved


def _type(schema: Schema) -> str:
    if choices := schema.get("enum"):
        return " or ".join(str(choice) for choice in choices)
    if several := schema.get("anyOf"):
        return " or ".join(_type(one) for one in several if one.get("type") != "null")
    if schema.get("type") == "array":
        return f"{_type(schema['items'])}, repeated"
    return str(schema.get("type") or schema.get("$ref", "").rsplit("/", 1)[-1])


def _line(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").strip()
