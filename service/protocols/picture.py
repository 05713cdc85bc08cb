"""One picture of a request whose body says what it wants, answered as another service would."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import Request, Response
from pydantic import ValidationError

from service.contract import describe
from service.errors import ParameterError, RequestError
from service.job import Tell
from service.loading import Model
from service.rendering import Rendering
from service.state import State, state_of
from service.task import Companions, Params

#: Taking more bytes than this apart would hold up the event loop.
_LARGE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Asked:
    """What a body asks for.

    Attributes:
        image: the encoded picture.
        params: of the task.
        tell: writes the answer; see service.job.
        rendering: draws it instead.
        companions: what the task does with pictures that may come along; none does here.
    """

    image: bytes
    params: Params
    tell: Tell
    rendering: Rendering | None = None
    companions: Companions | None = None


Understand = Callable[[bytes, Model], Asked]
"""Reads a body for a model; raises RequestError."""


async def answer_picture(request: Request, model: Model, understand: Understand) -> Response:
    """Answer a request with one picture in it, under all the bounds of our own routes.

    Args:
        request: whose body has not been read.
        model: to run.
        understand: reads its body; in a thread if that is large.

    Raises:
        SightlineError: of any kind, see service.errors.
    """
    state: State = state_of(request)
    inference = state.inference
    with inference.attending(model) as take:
        body = await inference.read(request, take)
        if not body:
            raise RequestError("the body is empty; send a picture")
        work = partial(understand, body, model)
        asked = await inference.compute(work) if len(body) > _LARGE_BYTES else work()
        del body, work  # the picture is in memory as it is; what it was read from need not be
        if not asked.image:
            raise RequestError("the picture is empty (0 bytes)")
        asked.params.check(model.manifest)
        if asked.companions:
            asked.companions.check(asked.params, model.assets, 0)
        async with inference.working(request, model, 1) as deadline:
            ahead = (
                await inference.run_ahead(model, [], asked.companions, asked.params, deadline)
                if asked.companions
                else None
            )
            result = await inference.infer(
                model, asked.image, asked.params, deadline, asked.rendering, ahead, asked.tell
            )
        response = inference.respond(model, result)
    response.headers["Sightline-Device"] = state.device_header
    return response


def validated(kind: type[Params], given: dict[str, Any]) -> Params:
    """A task's parameters.

    Raises:
        ParameterError: names what is wrong.
    """
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise ParameterError(describe(error)) from None
