"""API keys in the OpenAPI document: what each operation needs, as the guard sees it."""

from typing import Any

from fastapi import FastAPI

from service.errors import PROBLEM_JSON
from service.guard import Policy

_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "header": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "An API key, where `Authorization` is taken.",
    },
}
_CHALLENGE = {
    "WWW-Authenticate": {
        "description": "How to present a key (RFC 6750).",
        "required": True,
        "schema": {"type": "string"},
    }
}
_RETRY_AFTER = {
    "Retry-After": {
        "description": "Seconds after which to try again.",
        "schema": {"type": "integer", "minimum": 1},
    }
}
_RESPONSES = {
    "401": ("There is no API key, or not one that is known.", _CHALLENGE),
    "403": ("The API key has no scope `{}`.", _CHALLENGE),
    "429": ("More requests than the limit; `Retry-After` says when to come back.", _RETRY_AFTER),
}


def describe_keys(app: FastAPI, policy: Policy, *, required: bool) -> None:
    """Add security schemes, requirements and problems to an application's document.

    Args:
        app: whose document is made from its routes, whenever it is first asked for.
        policy: what each path needs.
        required: whether the application has keys; without, they are told to be optional, since
            that is the operator's choice.
    """
    of_routes = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _with_keys(of_routes(), policy, required=required)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # as FastAPI's manual extends it


def _with_keys(found: dict[str, Any], policy: Policy, *, required: bool) -> dict[str, Any]:
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    components = found.setdefault("components", {})
    components["securitySchemes"] = _SCHEMES
    any_key: list[dict[str, list[str]]] = [{name: []} for name in _SCHEMES]
    for path, operations in found["paths"].items():
        needed = policy.needed(path)
        if needed == "nothing":
            continue
        for operation in operations.values():
            operation["security"] = any_key if required else [*any_key, {}]
            for status, (description, headers) in _RESPONSES.items():
                operation["responses"].setdefault(
                    status,
                    {
                        "description": description.format(needed),
                        "content": {PROBLEM_JSON: schema},
                        "headers": headers,
                    },
                )
            operation["responses"] = dict(sorted(operation["responses"].items()))
    return found
