"""The route class of the task endpoints: FastAPI's document, a short way to the handler.

FastAPI builds the OpenAPI document from the handler's signature as for any route. At run time the
parameters are validated by the very model the document was made from, without the general
dependency solver, whose share of a small request is larger than that of all our own Python.
"""

from collections.abc import Callable, Coroutine
from typing import Any, get_type_hints

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import ValidationError

from service.contract import describe
from service.errors import ParameterError
from service.task import Params


class TaskRoute(APIRoute):
    """A route whose handler takes ``request`` and ``params``, a subclass of task.Params."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The function that answers a request."""
        handler = self.endpoint
        model: type[Params] = get_type_hints(handler)["params"]
        lists = model.list_fields()

        async def handle(request: Request) -> Response:
            query = request.query_params
            given = {
                name: query.getlist(name) if name in lists else value
                for name, value in query.items()
            }
            try:
                params = model.model_validate(given)
            except ValidationError as error:
                raise ParameterError(describe(error)) from None
            response: Response = await handler(request, params)
            return response

        return handle
