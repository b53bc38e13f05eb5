"""A uvicorn server that lives inside a running event loop: own socket, no signals, no ticking, clean stop.

Many of them share one loop (a demo hosts a dozen farmers), so nothing here polls: uvicorn's main loop is left
out, since all it does is refresh a date header that is not sent.
"""

import asyncio
import socket

from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

from node.api.faults import Answer
from node.api.gate import App
from node.api.limits import Limits, Places, origin

MAX_HEAD = 16 * 1024
BACKLOG = 512
STOP_SECONDS = 5


class GuardedProtocol(H11Protocol):
    """HTTP/1.1 with bounds uvicorn lacks: on connections, and on the time a request's head may take."""

    limits = Limits()
    places = Places(limits.max_connections_per_address)
    _whence: str | None = None
    _watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Refuse a connection too many; otherwise expect a request soon."""
        super().connection_made(transport)
        whence = origin(self.client[0] if self.client else "")
        if len(self.connections) > self.limits.max_connections or not self.places.take(whence):
            transport.abort()
            return
        self._whence = whence
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching, and leave its place."""
        self._stop_watching()
        whence, self._whence = self._whence, None
        if whence is not None:
            self.places.give_back(whence)
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Expect the next request soon."""
        super().on_response_complete()
        self._expect_request()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP in the shape of every other error."""
        body = Answer(400, "MALFORMED_REQUEST", msg).body
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )
        self.transport.close()

    def _expect_request(self) -> None:
        self._stop_watching()
        self._watch = self.loop.call_later(self.limits.header_seconds, self._give_up)

    def _stop_watching(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _give_up(self) -> None:
        self._watch = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()


class HttpServer:
    """A bound socket, and the application served on it from `start` to `stop`. Port 0 takes a free one."""

    def __init__(self, host: str, port: int, limits: Limits) -> None:
        """Bind. Raises OSError."""
        self.limits = limits
        self._socket = bind(host, port)
        self._server: Server | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port as bound."""
        name = self._socket.getsockname()
        return str(name[0]), int(name[1])

    @property
    def url(self) -> str:
        """Where it listens, as a base URL."""
        host, port = self.address
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    async def start(self, app: App) -> None:
        """Begin to serve."""
        places = Places(self.limits.max_connections_per_address)
        config = Config(
            app,
            http=type("LimitedProtocol", (GuardedProtocol,), {"limits": self.limits, "places": places}),
            ws="none",
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            h11_max_incomplete_event_size=MAX_HEAD,
            timeout_keep_alive=int(self.limits.header_seconds),
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        config.load()
        server = Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[self._socket])
        self._server = server

    async def stop(self) -> None:
        """Finish what runs, within seconds, and close every connection."""
        server, self._server = self._server, None
        if server is not None:
            await server.shutdown(sockets=[self._socket])
        self.close()

    def close(self) -> None:
        """Let go of the address; harmless after `stop`."""
        self._socket.close()


def bind(host: str, port: int) -> socket.socket:
    """Bind a listening address. Raises OSError."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock
