"""The routes of a farmer: a request is bounded, authenticated, parsed, handed to the Farmer, answered.

`create_app` makes the whole ASGI application. Bodies are read by the handlers themselves, so that nothing is
read that was not looked at first, and shards stream.
"""

from collections.abc import AsyncIterator, Awaitable, Callable

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from node.api.door import Door, scope_target
from node.api.faults import MethodNotAllowed, UnknownRoute, answer
from node.api.gate import App, Gate
from node.api.limits import Limits
from node.api.owner import (
    ClaimAll,
    ClaimedMessage,
    ClaimReport,
    RestoreReport,
    RestoreTrash,
    ScanMessage,
    ScanOn,
    StatusMessage,
    TakenBackMessage,
)
from node.authentication import body_hash
from node.errors import MalformedMessage, NodeError
from node.farmer.agreements import Proposal, Upload
from node.farmer.farmer import Farmer
from node.hex import from_hex
from node.messages import (
    PROPOSAL_HEADER,
    AnyMessage,
    AuditRequest,
    Bounded,
    CountersignedAgreement,
    OpenChannel,
    PayVoucher,
    ProposeAgreement,
    ReadShard,
    ShelfEntry,
    dump,
    parse,
)
from node.shelf import ENTRY_SIZE
from payments.errors import PaymentError
from payments.types import NodeId
from settlement.errors import SettlementError

SCAN_SECONDS = 2.0
"""For which one request has shards read; its owner asks again."""


def create_app(farmer: Farmer, limits: Limits) -> App:
    """Make a farmer's application, with its gate in front."""
    api = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    door = Door(farmer.farm.node, farmer.run, farmer.farm.clock, limits, farmer.knows)
    _Routes(farmer, door).add_to(api)
    answer_errors(api)
    return Gate(api, limits, door.recognise)


class _Routes:
    """Every route of one farmer."""

    def __init__(self, farmer: Farmer, door: Door) -> None:
        self._farmer = farmer
        self._door = door

    def add_to(self, api: FastAPI) -> None:
        """Register all of them."""
        routes: tuple[tuple[str, str, Callable[[Request], Awaitable[Response]]], ...] = (
            ("GET", "/v1/node", self.node),
            ("GET", "/v1/health", self.health),
            ("POST", "/v1/channels", self.open_channel),
            ("GET", "/v1/channels/{name}", self.channel),
            ("POST", "/v1/agreements", self.propose),
            ("GET", "/v1/agreements/{name}", self.agreement),
            ("POST", "/v1/agreements/{name}", self.take_back),
            ("DELETE", "/v1/agreements/{name}", self.delete),
            ("PUT", "/v1/agreements/{name}/shard", self.receive_shard),
            ("POST", "/v1/agreements/{name}/read", self.read_shard),
            ("POST", "/v1/audits", self.audit),
            ("POST", "/v1/vouchers", self.take_voucher),
            ("POST", "/v1/shelf", self.shelve),
            ("GET", "/v1/shelf", self.shelf),
            ("GET", "/v1/shelf/{name}", self.shelved),
            ("GET", "/v1/owner/status", self.status),
            ("POST", "/v1/owner/claim", self.claim),
            ("POST", "/v1/owner/scan", self.scan),
            ("POST", "/v1/owner/trash", self.restore_trash),
        )
        for method, path, handler in routes:
            api.router.add_route(path, handler, methods=[method])

    async def node(self, _: Request) -> Response:
        return json_answer(await self._farmer.info())

    async def health(self, _: Request) -> Response:
        return Response(b'{"ok":true}', media_type="application/json")

    async def open_channel(self, request: Request) -> Response:
        node, message = await self._read(request, OpenChannel)
        terms = message.terms.core()
        with self._door.introduction(node):
            return json_answer(await self._farmer.open_channel(node, terms, message.node_key_signature))

    async def channel(self, request: Request) -> Response:
        node = await self._bare(request)
        return json_answer(await self._farmer.channel(node, _name(request)))

    async def propose(self, request: Request) -> Response:
        node, message = await self._read(request, ProposeAgreement)
        terms = message.agreement.core()
        return json_answer(await self._farmer.propose(node, terms, message.renter_signature))

    async def agreement(self, request: Request) -> Response:
        node = await self._bare(request)
        return json_answer(self._farmer.agreement(node, _name(request)))

    async def take_back(self, request: Request) -> Response:
        node, message = await self._read(request, CountersignedAgreement)
        return json_answer(await self._farmer.take_back(node, message))

    async def delete(self, request: Request) -> Response:
        node = await self._bare(request)
        return json_answer(await self._farmer.delete(node, _name(request)))

    async def receive_shard(self, request: Request) -> Response:
        """Authenticate by the agreed data root; the bytes must lead to it. A proposal may come with them."""
        claim = self._door.look(request.headers)
        name = _name(request)
        proposal = _proposal(request)
        root = proposal.terms.data_root if proposal else self._farmer.data_root(claim.node, name)
        node = self._door.admit(claim, request.method, request_target(request), root)
        upload = Upload(name, int(request.headers["content-length"]), _chunks(request))
        if proposal is None:
            return json_answer(await self._farmer.receive_shard(node, upload))
        return json_answer(await self._farmer.accept_shard(node, proposal, upload))

    async def read_shard(self, request: Request) -> Response:
        node, message = await self._read(request, ReadShard)
        data = await self._farmer.read_shard(
            node,
            _name(request),
            offset=message.offset,
            length=message.length,
            payment=message.payment.core(),
        )
        return Response(data, media_type="application/octet-stream")

    async def audit(self, request: Request) -> Response:
        node, message = await self._read(request, AuditRequest)
        return json_answer(await self._farmer.audit(node, message))

    async def take_voucher(self, request: Request) -> Response:
        node, message = await self._read(request, PayVoucher)
        return json_answer(await self._farmer.take_voucher(node, message.voucher.core()))

    async def shelve(self, request: Request) -> Response:
        """Keep an entry; only nodes that are known here get as far as having their body read."""
        self._farmer.check_shelf(self._door.look(request.headers).node)
        node, message = await self._read(request, ShelfEntry)
        return json_answer(await self._farmer.shelve(node, message))

    async def shelf(self, request: Request) -> Response:
        return json_answer(self._farmer.shelf(await self._bare(request)))

    async def shelved(self, request: Request) -> Response:
        node = await self._bare(request)
        return json_answer(self._farmer.shelved(node, _name(request, ENTRY_SIZE)))

    async def status(self, request: Request) -> Response:
        self._owner(request, await self._bare(request))
        return json_answer(StatusMessage.of(await self._farmer.status()))

    async def claim(self, request: Request) -> Response:
        node, message = await self._read(request, ClaimAll)
        self._owner(request, node)
        outcomes = await self._farmer.collect(everything=message.everything)
        claims = tuple(map(ClaimedMessage.of, outcomes))
        return json_answer(ClaimReport(claims=claims, trouble=self._farmer.trouble))

    async def scan(self, request: Request) -> Response:
        node, message = await self._read(request, ScanOn)
        self._owner(request, node)
        return json_answer(ScanMessage.of(await self._farmer.hurry_scan(SCAN_SECONDS, message.began)))

    async def restore_trash(self, request: Request) -> Response:
        node, message = await self._read(request, RestoreTrash)
        self._owner(request, node)
        taken = await self._farmer.restore_trash(message.shards)
        return json_answer(RestoreReport(shards=tuple(map(TakenBackMessage.of, taken))))

    async def _read(self, request: Request, kind: type[AnyMessage]) -> tuple[NodeId, AnyMessage]:
        """Authenticate a request with a message in its body; who sent it, and the message."""
        claim = self._door.look(request.headers)
        body = await request.body()
        node = self._door.admit(claim, request.method, request_target(request), body_hash(body))
        return node, parse(kind, body)

    async def _bare(self, request: Request) -> NodeId:
        """Authenticate a request without a body."""
        claim = self._door.look(request.headers)
        return self._door.admit(claim, request.method, request_target(request), body_hash(b""))

    def _owner(self, request: Request, node: NodeId) -> None:
        if node != self._farmer.farm.node:
            raise UnknownRoute(request.url.path)


def answer_errors(api: FastAPI) -> None:
    """Answer every error in one shape, those of the framework too."""

    async def told(_: Request, error: Exception) -> Response:
        said = answer(error)
        return Response(said.body, said.status, media_type="application/json")

    async def framework(request: Request, error: Exception) -> Response:
        missing = not isinstance(error, HTTPException) or error.status_code == 404  # noqa: PLR2004 - HTTP
        fault = UnknownRoute(request.url.path) if missing else MethodNotAllowed(request.method)
        return await told(request, fault)

    for kind in (NodeError, PaymentError, SettlementError, Exception):
        api.add_exception_handler(kind, told)
    api.add_exception_handler(HTTPException, framework)


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    async for chunk in request.stream():
        yield chunk


def _proposal(request: Request) -> Proposal | None:
    """The agreement that an upload proposes in its head, if it does. Raises MalformedMessage."""
    said = request.headers.get(PROPOSAL_HEADER)
    if said is None:
        return None
    message = parse(ProposeAgreement, said.encode())
    return Proposal(message.agreement.core(), message.renter_signature)


def _name(request: Request, size: int = 32) -> bytes:
    """The bytes in the path, 32 of them. Raises MalformedMessage."""
    try:
        return from_hex(request.path_params["name"], size)
    except ValueError as error:
        raise MalformedMessage("path", f"the name is {error}") from None


def request_target(request: Request) -> str:
    """Path and query as they were sent."""
    return scope_target(request.scope)


def json_answer(message: Bounded) -> Response:
    """Answer with a message."""
    return Response(dump(message), media_type="application/json")
