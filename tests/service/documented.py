"""A client that holds every answer against the OpenAPI document."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import Match

from service import errors


def operation_of(app: FastAPI, response: httpx.Response) -> dict[str, Any] | None:
    """The documented operation a response belongs to, None if its path and method have none."""
    request = response.request
    scope = {"type": "http", "path": request.url.path, "method": request.method}
    for route in app.routes:
        if not isinstance(route, APIRoute) or not route.include_in_schema:
            continue
        if route.matches(scope)[0] is Match.FULL:
            found: dict[str, Any] = app.openapi()["paths"][route.path][request.method.lower()]
            return found
    return None


@asynccontextmanager
async def client_of(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client that holds every answer against the OpenAPI document."""

    async def is_documented(response: httpx.Response) -> None:
        media_type = response.headers.get("content-type", "").partition(";")[0]
        operation = operation_of(app, response)
        if operation is not None:
            documented = operation["responses"][str(response.status_code)]
            assert media_type in documented["content"]
            assert {name.lower() for name in documented.get("headers", ())} <= set(response.headers)
        if response.is_error:
            await response.aread()
            assert media_type == "application/problem+json"
            problem = errors.Problem.model_validate_json(response.content)
            assert problem.status == response.status_code
            assert problem.detail

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test", event_hooks={"response": [is_documented]}
    ) as http:
        yield http
