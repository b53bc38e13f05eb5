"""The page a Prometheus reads: plain HTTP without a signature, so on this machine's loopback only."""

from fastapi import FastAPI, Request, Response

from node.api.gate import App, Gate
from node.api.limits import Limits
from node.farmer.farmer import Farmer
from node.farmer.metrics import CONTENT_TYPE, render

HOST = "127.0.0.1"


def create_metrics_app(farmer: Farmer, limits: Limits) -> App:
    """Make the application of GET /metrics."""
    api = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    async def metrics(_: Request) -> Response:
        return Response(render(await farmer.vitals(), farmer.holdings()), media_type=CONTENT_TYPE)

    api.router.add_route("/metrics", metrics, methods=["GET"])
    return Gate(api, limits)
