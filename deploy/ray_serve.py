"""The service on Ray Serve: as many replicas as are needed, over as many nodes as there are.

A replica is what ``sightline serve`` is without its socket: the same application, its life span,
its models and its queues, in a Ray worker. Serve's proxies take the HTTP requests and hand each to
the replica with less to do. How to run it: ``docs/operating.md``, "Past one machine".
"""

import asyncio
import time
from typing import Any

from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from ray import serve
from ray.serve.config import AutoscalingConfig
from starlette.routing import Route

from deploy.exposition import merge
from deploy.ray_arguments import Arguments
from service.api import readyz
from service.app import create_app
from service.errors import NotReadyError
from service.logs import configure_logging
from service.state import State

#: Seconds a replica may take over its health check, between checks, and to collect all metrics.
_CHECK_S, _EVERY_S, _COLLECT_S = 10.0, 5.0, 5.0
#: Seconds between looks at whether the models are loaded, or the requests in flight answered.
_LOOK_S = 0.1


class Replica:
    """One process of the service, with a copy of every model it serves."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        """Nothing is loaded yet; Serve asks for the application next."""
        self._arguments = Arguments.model_validate(arguments)
        self._started = False
        self._state: State

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Build this replica's own application; Serve runs its life span and sends it requests.

        Raises:
            DeviceError: the device that was asked for does not run here.
        """
        settings = self._arguments.of_replica()
        configure_logging(settings.log_level, settings.log_format)
        app = create_app(settings)
        self._state = app.state.sightline
        # Found before the application's own, which knows the metrics of one replica only.
        app.router.routes.insert(0, Route("/metrics", _metrics_of_all))
        return app

    async def check_health(self) -> None:
        """Be as healthy as ``/readyz``; the first time, wait for the models.

        Serve sends requests to a replica once its first check passes, and replaces it when later
        ones fail.

        Raises:
            NotReadyError: no model is served, or loading took too long.
        """
        deadline = time.monotonic() + self._arguments.start_timeout_s
        while not self._started:
            if self._state.registry.ready:
                self._started = True
            elif time.monotonic() > deadline:
                raise NotReadyError(
                    f"models are not loaded after {self._arguments.start_timeout_s:g} s"
                )
            else:
                await asyncio.sleep(_LOOK_S)
        await readyz(self._state)

    async def exposition(self) -> tuple[str, str]:
        """This replica's name and its metrics in the Prometheus text format."""
        text = generate_latest(self._state.telemetry.registry).decode()
        return serve.get_replica_context().replica_tag, text


async def _metrics_of_all(_: Request) -> Response:
    """Answer with the metrics of every replica, whichever was asked."""
    here = serve.get_replica_context()
    handle = serve.get_deployment_handle(here.deployment, here.app_name)
    answers = await handle.broadcast("exposition").results_async(
        timeout_s=_COLLECT_S, return_exceptions=True
    )
    told = dict(answer for answer in answers if not isinstance(answer, BaseException))
    return Response(merge(told), media_type=CONTENT_TYPE_LATEST)


def build(arguments: Arguments) -> serve.Application:
    """Build the Serve application, as ``serve run deploy.ray_serve:build`` or ``serve.yaml`` ask.

    Raises:
        ValidationError: an argument or a setting is out of range.
    """
    settings = arguments.of_replica()
    reserved: dict[str, float] = {"num_cpus": arguments.cpus, "num_gpus": arguments.gpus}
    if arguments.memory_mib is not None:
        reserved["memory"] = arguments.memory_mib << 20
    deployment = serve.deployment(
        serve.ingress()(Replica),
        name="Sightline",
        ray_actor_options=reserved,
        # A replica must be free to say 429 itself, before it reads a body and with the right
        # Retry-After. What is past its connections waits at the proxy, and past as many again 503.
        max_ongoing_requests=settings.max_connections,
        max_queued_requests=settings.max_connections,
        autoscaling_config=AutoscalingConfig(
            min_replicas=arguments.min_replicas,
            max_replicas=arguments.max_replicas,
            target_ongoing_requests=arguments.target(settings),
            upscale_delay_s=arguments.upscale_delay_s,
            downscale_delay_s=arguments.downscale_delay_s,
            look_back_period_s=arguments.look_back_s,
        ),
        graceful_shutdown_timeout_s=settings.shutdown_grace_s,
        graceful_shutdown_wait_loop_s=_LOOK_S,
        health_check_period_s=_EVERY_S,
        health_check_timeout_s=_CHECK_S,
    )
    application: serve.Application = deployment.bind(arguments.model_dump())
    return application
