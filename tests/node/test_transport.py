"""The wire against a small real server: signed requests, bounded answers, and which error is which."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from node.authentication import ReplayGuard, body_hash, read_authentication, verify_request
from node.errors import WrongRun
from node.identity import NodeKey
from node.messages import AgreementState, AgreementView, PayVoucher, SignedVoucherMessage, dump
from node.transport import (
    Patience,
    PeerBrokeRules,
    PeerRefused,
    PeerTimedOut,
    PeerUnreachable,
    Target,
    Transport,
)
from payments.types import Amount, ChannelId, NodeId
from payments.vouchers import SignedVoucher, Voucher

RENTER = NodeKey(b"\x01" * 32)
FARMER = NodeKey(b"\x02" * 32)
VIEW = AgreementView(agreement_id=b"a" * 32, state=AgreementState.PROPOSED, farmer_signature=None)
MESSAGE = PayVoucher(
    voucher=SignedVoucherMessage.of(SignedVoucher(Voucher(ChannelId(b"c" * 32), Amount(7)), b"s" * 64))
)
QUICK = Patience(connect=0.5, stall=0.3, pause=1.5)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def clock() -> int:
    return int(time.time())


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[Target]:
    """A server on a free port whose every path is answered by `handler`."""
    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield Target(FARMER.node, (f"http://127.0.0.1:{runner.addresses[0][1]}",))
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw_server(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[Target]:
    """A TCP server that says whatever `talk` says."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield Target(FARMER.node, (f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}",))


def ask(handler: Handler) -> AgreementView:
    """POST the message to a server with this handler."""

    async def go() -> AgreementView:
        async with serving(handler) as target, Transport(RENTER, clock, QUICK) as transport:
            return await transport.post(target, "/v1/vouchers", MESSAGE, AgreementView)

    return asyncio.run(go())


def refusing(code: str, status: int = 422, **detail: object) -> web.Response:
    return web.json_response({"error": code, "message": "no", "detail": detail}, status=status)


def test_every_request_is_signed_for_its_recipient() -> None:
    seen: list[tuple[str, str]] = []

    async def check(request: web.Request) -> web.Response:
        claim = read_authentication(request.headers)
        body = await request.read()
        digest = b"r" * 32 if request.method == "PUT" else body_hash(body)
        verify_request(claim, us=FARMER.node, method=request.method, target=request.path_qs, body=digest)
        assert claim.node == RENTER.node
        seen.append((request.method, request.path_qs))
        return web.Response(body=dump(VIEW))

    async def go() -> None:
        async with serving(check) as target, Transport(RENTER, clock) as transport:
            assert await transport.get(target, "/v1/agreements/0x00", AgreementView) == VIEW
            assert await transport.post(target, "/v1/vouchers", MESSAGE, AgreementView) == VIEW
            assert await transport.delete(target, "/v1/agreements/0x00", AgreementView) == VIEW
            shard = memoryview(bytes(700_000))
            root = b"r" * 32
            sent: list[int] = []
            done = await transport.upload(
                target, "/v1/x", shard, data_root=root, answer=AgreementView, progress=sent.append
            )
            assert done == VIEW
            assert sum(sent) == len(shard)

    asyncio.run(go())
    assert [method for method, _ in seen] == ["GET", "POST", "DELETE", "PUT"]


def test_a_description_is_asked_for_unsigned() -> None:
    async def check(request: web.Request) -> web.Response:
        assert not [name for name in request.headers if name.startswith("Tithe")]
        assert request.path == "/v1/node"
        return web.Response(body=dump(VIEW))

    async def go() -> None:
        async with serving(check) as target, Transport(RENTER, clock) as transport:
            unknown = Target(NodeId(bytes(32)), tuple(url + "/" for url in target.urls))
            assert await transport.describe(unknown, AgreementView) == VIEW

    asyncio.run(go())


def test_a_read_returns_exactly_the_bytes_asked_for() -> None:
    async def serve(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * int(request.query["give"]))

    async def go() -> None:
        async with serving(serve) as target, Transport(RENTER, clock) as transport:
            assert await transport.read(target, "/v1/read?give=1000", MESSAGE, 1000) == b"x" * 1000
            for wrong in (999, 1001):
                with pytest.raises(PeerBrokeRules):
                    await transport.read(target, f"/v1/read?give={wrong}", MESSAGE, 1000)

    asyncio.run(go())


def test_a_refusal_keeps_code_and_values() -> None:
    async def refuse(_: web.Request) -> web.Response:
        return refusing("DEPOSIT_TOO_LOW", 422, deposit=5, minimum=9)

    with pytest.raises(PeerRefused) as caught:
        ask(refuse)
    error = caught.value
    assert (error.status, error.error, error.values["minimum"]) == (422, "DEPOSIT_TOO_LOW", 9)
    assert error.node == FARMER.node


@pytest.mark.parametrize(
    "answer",
    [
        lambda: web.Response(body=b"not json"),
        lambda: web.Response(body=b"{}"),
        lambda: web.Response(body=b" " * 70_000),
        lambda: web.Response(status=500, body=b"<html>"),
        lambda: web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}),
        lambda: web.Response(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"}),
    ],
)
def test_an_answer_that_is_none_is_named(answer: Callable[[], web.Response]) -> None:
    async def serve(_: web.Request) -> web.Response:
        return answer()

    with pytest.raises(PeerBrokeRules):
        ask(serve)


def test_an_endless_answer_is_cut_off() -> None:
    async def pour(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 65_536)

    with pytest.raises(PeerBrokeRules):
        ask(pour)


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{",
        b"SSH-2.0-nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a" * 70_000,
    ],
)
def test_half_an_answer_and_other_protocols_break_the_rules(said: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()

    async def go() -> None:
        async with raw_server(talk) as target, Transport(RENTER, clock, QUICK) as transport:
            with pytest.raises(PeerBrokeRules):
                await transport.get(target, "/v1/agreements/0x00", AgreementView)

    asyncio.run(go())


def test_nobody_there_is_unreachable() -> None:
    async def go() -> None:
        async with serving(_never) as target:
            pass
        async with Transport(RENTER, clock, QUICK) as transport:
            with pytest.raises(PeerUnreachable):
                await transport.get(target, "/v1/agreements/0x00", AgreementView)
            with pytest.raises(PeerUnreachable):
                await transport.get(Target(FARMER.node, ()), "/v1/agreements/0x00", AgreementView)

    asyncio.run(go())


async def _never(_: web.Request) -> web.Response:
    await asyncio.sleep(60)
    raise AssertionError


def test_silence_times_out() -> None:
    with pytest.raises(PeerTimedOut):
        ask(_never)


def test_slow_but_steady_answers_are_waited_for() -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        body = dump(VIEW)
        for start in range(0, len(body), 30):
            await response.write(body[start : start + 30])
            await asyncio.sleep(0.12)
        return response

    assert ask(drip) == VIEW


def test_an_answer_may_not_trickle_for_ever() -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.1)

    with pytest.raises(PeerTimedOut):
        ask(drip)


def test_the_next_address_is_tried_when_one_does_not_connect() -> None:
    async def serve(_: web.Request) -> web.Response:
        return web.Response(body=dump(VIEW))

    async def go() -> None:
        async with serving(serve) as gone:
            pass
        async with serving(serve) as target, Transport(RENTER, clock, QUICK) as transport:
            both = Target(target.node, (*gone.urls, *target.urls))
            assert await transport.get(both, "/v1/agreements/0x00", AgreementView) == VIEW

    asyncio.run(go())


def test_a_restarted_peer_is_answered_with_its_run() -> None:
    guard = ReplayGuard(run=b"r" * 16, started_at=clock())
    refused = 0

    async def serve(request: web.Request) -> web.Response:
        nonlocal refused
        try:
            guard.admit(read_authentication(request.headers), clock())
        except WrongRun as error:
            refused += 1
            return refusing(error.code, 401, **error.detail)
        return web.Response(body=dump(VIEW))

    async def go() -> None:
        async with serving(serve) as target, Transport(RENTER, clock, QUICK) as transport:
            asked = (transport.get(target, "/v1/agreements/0x00", AgreementView) for _ in range(4))
            assert await asyncio.gather(*asked) == [VIEW] * 4
            assert refused == 4
            assert await transport.get(target, "/v1/agreements/0x00", AgreementView) == VIEW

    asyncio.run(go())
    assert refused == 4


def test_a_busy_peer_is_given_a_moment() -> None:
    asked = 0

    async def serve(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return refusing("RATE_LIMITED", 429, retry_after=1) if asked == 1 else web.Response(body=dump(VIEW))

    assert ask(serve) == VIEW
    assert asked == 2


def test_a_peer_that_stays_busy_refuses() -> None:
    async def serve(_: web.Request) -> web.Response:
        return refusing("BUSY", 503, retry_after=1)

    with pytest.raises(PeerRefused):
        ask(serve)


def test_a_request_lost_on_a_stale_connection_is_sent_again() -> None:
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        body = dump(VIEW)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        await reader.readuntil(b"\r\n\r\n")  # the second request arrives and is never answered

    async def go() -> None:
        async with raw_server(talk) as target, Transport(RENTER, clock, QUICK) as transport:
            for _ in range(2):
                assert await transport.get(target, "/v1/agreements/0x00", AgreementView) == VIEW

    asyncio.run(go())
    assert connections == 2


def test_errors_carry_codes_and_show_in_json() -> None:
    error = PeerRefused(FARMER.node, 402, "PAYMENT_TOO_LOW", "pay", {"needed": 5})
    assert (error.code, PeerUnreachable.code) == ("PEER_REFUSED", "PEER_UNREACHABLE")
    assert json.dumps(error.detail)
