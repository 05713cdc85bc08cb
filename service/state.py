"""What the routes reach: everything that lives as long as the application."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from service.canary import Canary
from service.device import Device
from service.edge import Edge
from service.group import Group
from service.inference import Inference
from service.registry import Registry
from service.settings import Settings
from service.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class State:
    """One application's parts."""

    settings: Settings
    device: Device
    telemetry: Telemetry
    registry: Registry
    inference: Inference
    canary: Canary
    edge: Edge
    group: Group

    @property
    def device_header(self) -> str:
        """The value of the ``Sightline-Device`` response header."""
        return self.device.kind if self.device.degraded is None else f"{self.device.kind}; degraded"


def state_of(request: Request) -> State:
    """The parts of the application a request came to."""
    state: State = request.app.state.sightline
    return state


async def _state(request: Request) -> State:
    return state_of(request)


StateOf = Annotated[State, Depends(_state)]
