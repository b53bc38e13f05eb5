"""The gate over real sockets: every limit is enforced before the application works, and is told as JSON."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest

from node.api.gate import Gate, Message, Receive, Send
from node.api.limits import Limits, TokenBuckets, origin
from node.api.server import HttpServer
from payments.types import NodeId

DEFAULT = Limits()
Reply = tuple[int, dict[str, Any]]


class Echo:
    """A real ASGI application: reads the body, answers with its length; counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        self.asked += 1
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.bodies.append(body)
        if scope["path"] == "/slow":
            await asyncio.sleep(0.3)
        if scope["path"] == "/crash":
            raise RuntimeError("a secret of ours")
        if scope["path"] == "/endless":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": bytes(1 << 20), "more_body": True})
        answer = json.dumps({"read": len(body)}).encode()
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-length", str(len(answer)).encode())],
            }
        )
        await send({"type": "http.response.body", "body": answer})


@asynccontextmanager
async def serving(echo: Echo, limits: Limits) -> AsyncIterator[HttpServer]:
    server = HttpServer("127.0.0.1", 0, limits)
    await server.start(Gate(echo, limits, friend))
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def connected(
    server: HttpServer, send: bytes = b"", origin: str = "127.0.0.1"
) -> AsyncIterator[asyncio.StreamReader]:
    reader, writer = await asyncio.open_connection(*server.address, local_addr=(origin, 0))
    writer.write(send)
    try:
        async with asyncio.timeout(10):
            yield reader
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def ask(server: HttpServer, request: bytes, origin: str = "127.0.0.1") -> Reply:
    async with connected(server, request, origin) as reader:
        return await read_reply(reader)


async def read_reply(reader: asyncio.StreamReader) -> Reply:
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return status, json.loads(await reader.readexactly(length))


def post(path: str, body: bytes = b"", length: int | None = None) -> bytes:
    length = len(body) if length is None else length
    return f"POST {path} HTTP/1.1\r\nHost: f\r\nContent-Length: {length}\r\n\r\n".encode() + body


def signed(by: str, body: bytes = b"", length: int | None = None) -> bytes:
    return post("/v1/vouchers", body, length).replace(b"Host: f", f"Host: f\r\nFriend: {by}".encode())


def friend(scope: Message) -> NodeId | None:
    """Who has signed, as the gate is told by a door."""
    name = dict(scope["headers"]).get(b"friend")
    return None if name is None else NodeId(name)


def run(story: Callable[[HttpServer, Echo], Coroutine[Any, Any, None]], limits: Limits = DEFAULT) -> None:
    async def main() -> None:
        echo = Echo()
        async with serving(echo, limits) as server:
            await story(server, echo)

    asyncio.run(main())


def test_a_body_within_its_limit_streams_through() -> None:
    async def story(server: HttpServer, _: Echo) -> None:
        assert await ask(server, post("/v1/vouchers", b"x" * 65_536)) == (200, {"read": 65_536})
        assert await ask(server, b"GET /v1/node HTTP/1.1\r\nHost: f\r\n\r\n") == (200, {"read": 0})

    run(story)


@pytest.mark.parametrize(
    ("path", "limit"),
    [("/v1/vouchers", 65_536), ("/v1/audits", 1_048_576), ("/v1/agreements/0x00/shard", 268_435_456)],
)
def test_an_oversized_body_is_refused_before_a_byte_of_it_is_read(path: str, limit: int) -> None:
    async def story(server: HttpServer, echo: Echo) -> None:
        status, said = await ask(server, post(path, length=limit + 1))
        assert (status, said["error"]) == (413, "BODY_TOO_LARGE")
        assert said["detail"] == {"length": limit + 1, "limit": limit}
        assert echo.asked == 0

    run(story)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST /v1/vouchers HTTP/1.1\r\nHost: f\r\n\r\n",
        b"POST /v1/vouchers HTTP/1.1\r\nHost: f\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ],
)
def test_a_body_of_unknown_length_is_refused(request_bytes: bytes) -> None:
    async def story(server: HttpServer, echo: Echo) -> None:
        status, said = await ask(server, request_bytes)
        assert (status, said["error"]) == (411, "LENGTH_REQUIRED")
        assert echo.asked == 0

    run(story)


def test_a_get_with_a_body_is_refused() -> None:
    async def story(server: HttpServer, _: Echo) -> None:
        status, said = await ask(server, b"GET / HTTP/1.1\r\nHost: f\r\nContent-Length: 1\r\n\r\nx")
        assert (status, said["error"]) == (413, "BODY_TOO_LARGE")

    run(story)


def test_a_body_that_stalls_ends_its_request() -> None:
    async def story(server: HttpServer, echo: Echo) -> None:
        async with connected(server, post("/v1/vouchers", b"half", length=8)) as reader:
            status, said = await read_reply(reader)
        assert (status, said["error"]) == (408, "BODY_TOO_SLOW")
        assert echo.bodies == []

    run(story, Limits(stall_seconds=0.2))


def test_a_body_that_drips_ends_its_request_however_short_its_pauses() -> None:
    async def story(server: HttpServer, echo: Echo) -> None:
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(post("/v1/audits", length=1_000_000))
        reply = asyncio.create_task(read_reply(reader))
        async with asyncio.timeout(10):  # at its announced length it might take 30 s
            while not reply.done():
                writer.write(b" ")
                await asyncio.wait({reply}, timeout=0.05)
        assert reply.result()[1]["error"] == "BODY_TOO_SLOW"
        assert echo.bodies == []
        writer.close()

    run(story, Limits(stall_seconds=0.3))


def test_a_crash_is_told_by_name_only(caplog: pytest.LogCaptureFixture) -> None:
    async def story(server: HttpServer, _: Echo) -> None:
        status, said = await ask(server, post("/crash"))
        assert (status, said["error"], said["detail"]) == (500, "INTERNAL", {})
        assert "secret" not in json.dumps(said)

    run(story)
    assert "request_crashed error=RuntimeError" in caplog.text


def test_a_peer_that_does_not_take_its_answer_loses_its_connection() -> None:
    async def story(server: HttpServer, _: Echo) -> None:
        async with connected(server, post("/endless")):
            await asyncio.sleep(1)
        assert (await ask(server, post("/")))[0] == 200

    run(story, Limits(stall_seconds=0.2, max_running=1))


def test_a_head_that_never_ends_loses_its_connection() -> None:
    async def story(server: HttpServer, echo: Echo) -> None:
        async with connected(server, b"GET /v1/node HTTP/1.1\r\n") as reader:
            assert await reader.read() == b""
        assert echo.asked == 0

    run(story, Limits(header_seconds=0.2))


def test_too_many_requests_at_once_are_told_to_wait() -> None:
    async def story(server: HttpServer, _: Echo) -> None:
        slow = [asyncio.create_task(ask(server, post("/slow"))) for _ in range(2)]
        await asyncio.sleep(0.1)
        status, said = await ask(server, post("/slow"))
        assert (status, said["error"]) == (503, "BUSY")
        assert [reply[0] for reply in await asyncio.gather(*slow)] == [200, 200]
        assert (await ask(server, post("/slow")))[0] == 200

    run(story, Limits(max_running=2))


def test_an_address_that_asks_too_often_is_told_to_wait() -> None:
    async def story(server: HttpServer, echo: Echo) -> None:
        replies = [await ask(server, post("/")) for _ in range(4)]
        assert [status for status, _ in replies] == [200, 200, 200, 429]
        assert replies[3][1]["error"] == "RATE_LIMITED"
        assert replies[3][1]["detail"]["retry_after"] >= 1
        assert echo.asked == 3

    run(story, Limits(address_rate=0.1, address_burst=3))


def test_a_connection_too_many_is_dropped() -> None:
    async def story(server: HttpServer, _: Echo) -> None:
        async with connected(server), connected(server) as dropped:
            assert await dropped.read() == b""

    run(story, Limits(max_connections=1))


def test_slow_bodies_of_one_address_leave_room_for_others() -> None:
    async def story(server: HttpServer, _: Echo) -> None:
        async with AsyncExitStack() as stack:
            for _number in range(4):
                slow = post("/v1/vouchers", b"half", length=60_000)
                await stack.enter_async_context(connected(server, slow, "127.0.0.2"))
            await asyncio.sleep(0.1)
            status, said = await ask(server, post("/"), "127.0.0.2")
            assert (status, said["error"]) == (503, "BUSY")
            assert (await ask(server, post("/")))[0] == 200
        await asyncio.sleep(0.1)
        assert (await ask(server, post("/"), "127.0.0.2"))[0] == 200

    run(story, Limits(max_running=4, max_running_per_address=3))


def test_slow_bodies_of_many_addresses_leave_room_for_known_nodes() -> None:
    async def story(server: HttpServer, _: Echo) -> None:
        async with AsyncExitStack() as stack:
            for number in range(4):
                slow = post("/v1/vouchers", b"half", length=60_000)
                await stack.enter_async_context(connected(server, slow, f"127.0.0.{2 + number // 2}"))
            await asyncio.sleep(0.1)
            assert (await ask(server, post("/")))[1]["error"] == "BUSY"
            assert (await ask(server, signed("a")))[0] == 200
            waiting = signed("a", b"half", length=60_000)
            for _number in range(2):
                await stack.enter_async_context(connected(server, waiting))
            await asyncio.sleep(0.1)
            assert (await ask(server, signed("a")))[1]["error"] == "BUSY"  # for one node
            assert (await ask(server, signed("b")))[0] == 200

    limits = Limits(max_running=4, max_running_per_address=2, max_reserved=3, max_reserved_per_node=2)
    run(story, limits)


def test_connections_of_one_address_leave_room_for_others() -> None:
    async def story(server: HttpServer, _: Echo) -> None:
        async with AsyncExitStack() as stack:
            idle = [await stack.enter_async_context(connected(server, origin="127.0.0.2")) for _ in range(9)]
            assert await idle[-1].read() == b""
            assert (await ask(server, post("/")))[0] == 200
        await asyncio.sleep(0.1)
        assert (await ask(server, post("/"), "127.0.0.2"))[0] == 200

    run(story, Limits(max_connections=6, max_connections_per_address=5))


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::9%eth0", "2001:db8:1:2::"),
        ("", ""),
    ],
)
def test_an_address_counts_as_what_one_subscriber_has(address: str, counted_as: str) -> None:
    assert origin(address) == counted_as


def test_what_is_no_http_gets_the_same_shape_of_error() -> None:
    async def story(server: HttpServer, _: Echo) -> None:
        status, said = await ask(server, b"\x16\x03\x01 hello\r\n\r\n")
        assert (status, said["error"]) == (400, "MALFORMED_REQUEST")
        assert set(said) == {"error", "message", "detail"}

    run(story)


def test_a_head_beyond_its_size_is_refused() -> None:
    async def story(server: HttpServer, echo: Echo) -> None:
        status, said = await ask(server, b"GET / HTTP/1.1\r\nHost: f\r\nX: " + b"x" * 40_000)
        assert (status, said["error"]) == (400, "MALFORMED_REQUEST")
        assert echo.asked == 0

    run(story)


def test_buckets_refill_and_forget_the_quietest_key() -> None:
    buckets = TokenBuckets(rate=2, burst=1, size=2)
    assert buckets.take("a", 0.0) == 0
    assert buckets.take("a", 0.0) == 0.5
    assert buckets.take("a", 0.5) == 0
    buckets.take("b", 0.5)
    buckets.take("c", 0.5)
    assert buckets.take("b", 0.5) > 0
    assert buckets.take("a", 0.5) == 0
