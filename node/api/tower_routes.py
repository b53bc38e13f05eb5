"""The routes of a watchtower: one message in, behind the same gate and door as a farmer's."""

from fastapi import FastAPI, Request, Response

from node.api.door import Door
from node.api.gate import App, Gate
from node.api.limits import Limits
from node.api.routes import answer_errors, json_answer, request_target
from node.authentication import body_hash
from node.identity import NodeKey
from node.messages import parse
from node.tower.tower import Tower
from node.watch_messages import WatchChannel


def create_tower_app(tower: Tower, key: NodeKey, run: bytes, limits: Limits) -> App:
    """Make a tower's application; `run` (16 bytes) names this start of it."""
    api = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    door = Door(key.node, run, tower.clock, limits, tower.knows)

    async def watch(request: Request) -> Response:
        claim = door.look(request.headers)
        body = await request.body()
        node = door.admit(claim, request.method, request_target(request), body_hash(body))
        return json_answer(await tower.watch(node, parse(WatchChannel, body)))

    async def health(_: Request) -> Response:
        return Response(b'{"ok":true}', media_type="application/json")

    api.router.add_route("/v1/watch", watch, methods=["POST"])
    api.router.add_route("/v1/health", health, methods=["GET"])
    answer_errors(api)
    return Gate(api, limits, door.recognise)
