"""The peer: a grid of Tahoe-LAFS on this machine, as its own commands would set it up, with real processes.

An introducer, ten nodes that store, and a client for each code; all settings but ports and the code are
Tahoe's defaults. A storing node that is slow has moved to another port, and its old one is a slow line.
"""

import http.client
import json
import os
import shutil
import subprocess
import time
from base64 import b32decode, b32encode
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from scripts.storage.child import Child, ChildFailed, wait_until
from scripts.storage.system import (
    CORRUPT_PART,
    DEAD_PART,
    ROT_EVERY,
    SLOW_PART,
    SLOW_SECONDS,
    Condition,
    Crowd,
    Done,
    lasting_ports,
    share,
)

NODES: Final = 10
HAPPY: Final = 7
"""Nodes that must hold shares before an upload counts: Tahoe's default."""
PIECE: Final = 1024 * 1024
RESPITE: Final = 600.0
_INDEX_TAG: Final = b"allmydata_immutable_key_to_storage_index_v1"


@dataclass
class Node:
    """A process of the grid. settings: its tahoe.cfg. furl: the introducer's, which itself has none."""

    kind: str
    folder: Path
    settings: str
    furl: str = ""
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it, without waiting."""
        private = self.folder / "private"
        private.mkdir(parents=True, exist_ok=True)
        (self.folder / "tahoe.cfg").write_text(self.settings)
        (self.folder / f"tahoe-{self.kind}.tac").touch()  # the name says what kind of node this is
        if self.furl:
            (private / "introducers.yaml").write_text(f"introducers:\n  default:\n    furl: {self.furl}\n")
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [os.environ["TITHE_TAHOE"], "run", str(self.folder)],
                stdin=subprocess.PIPE,  # it ends when this does, and so with us
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """End it by SIGKILL, if it lives."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@dataclass
class Grid:
    """Introducer and storing nodes; their clients. `condition`: what they suffer."""

    folder: Path
    introducer: Node
    nodes: list[Node]
    ports: Sequence[int]
    clients: "list[Tahoe]" = field(default_factory=list)
    condition: Condition = Condition.PLAIN
    lines: list[Child] = field(default_factory=list)

    @classmethod
    def build(cls, stack: ExitStack, folder: Path) -> "Grid":
        """Start it."""
        ports = lasting_ports(NODES + 1)
        introducer = Node("introducer", folder / "introducer", _settings(ports[-1]))
        introducer.start()
        grid = cls(folder, introducer, [], ports[:-1])
        stack.callback(grid.end)
        furl = introducer.folder / "private" / "introducer.furl"
        wait_until(furl.exists, "the introducer's start")
        for number, port in enumerate(grid.ports):
            place = folder / f"node-{number}"
            grid.nodes.append(Node("client", place, _storing(port), furl.read_text().strip()))
        grid.start(grid.nodes)
        return grid

    def start(self, nodes: Sequence[Node]) -> None:
        """Start storing nodes, and the clients anew: those are slow to look for lost nodes again."""
        for node in nodes:
            node.start()
        for client in self.clients:
            client.node.kill()
            client.node.start()

    def suffer(self, condition: Condition) -> None:
        """Kill, slow down or let rot some storing nodes, unless that was done already."""
        if condition is self.condition:
            return
        self.condition = condition
        match condition:
            case Condition.DEAD:
                for node in self._some(DEAD_PART):
                    node.kill()
            case Condition.SLOW:
                self._slow()
            case Condition.CORRUPT:
                self._rot()

    def recover(self, condition: Condition) -> None:
        """Be well again."""
        if self.condition is Condition.PLAIN:
            return
        self.condition = Condition.PLAIN
        match condition:
            case Condition.DEAD:
                self.start(self._some(DEAD_PART))
            case Condition.SLOW:
                self._hasten()
            case Condition.CORRUPT:
                self._rot()

    @property
    def living(self) -> list[int]:
        """Process ids of storing nodes."""
        return [node.process.pid for node in self.nodes if node.process is not None]

    def end(self) -> None:
        """End all."""
        for node in (*(client.node for client in self.clients), *self.nodes, self.introducer):
            node.kill()
        for line in self.lines:
            line.end()

    def _slow(self) -> None:
        slow = self._some(SLOW_PART)
        for node, port, other in zip(slow, self.ports, lasting_ports(len(slow)), strict=False):
            node.kill()
            node.settings = _storing(other, port)
            log = self.folder / "line.log"
            self.lines.append(Child("scripts.storage.relay", log, str(port), str(other), str(SLOW_SECONDS)))
        self.start(slow)

    def _hasten(self) -> None:
        while self.lines:
            self.lines.pop().end()
        slow = self._some(SLOW_PART)
        for node, port in zip(slow, self.ports, strict=False):
            node.kill()
            node.settings = _storing(port)
        self.start(slow)

    def _rot(self) -> None:
        """Flip bytes of every share of some nodes, all over it; twice is as if nothing had been."""
        for node in self._some(CORRUPT_PART):
            for path in (node.folder / "storage" / "shares").glob("??/*/*"):
                data = bytearray(path.read_bytes())
                for place in range(ROT_EVERY // 2, len(data), ROT_EVERY):
                    data[place] ^= 0xFF
                path.write_bytes(data)

    def _some(self, part: float) -> list[Node]:
        return self.nodes[: share(len(self.nodes), part)]


class Tahoe:
    """A System: the client that stores by one code."""

    def __init__(self, grid: Grid, k: int, n: int) -> None:
        self.name = f"tahoe {k} of {n}"
        self._grid, self._k, self._n = grid, k, n
        (self._port,) = lasting_ports(1)
        settings = _client(self._port, k, n)
        furl = grid.nodes[0].furl
        self.node = Node("client", grid.folder / f"client-{k}-{n}", settings, furl)
        self._caps: dict[str, str] = {}
        grid.clients.append(self)
        self.node.start()
        wait_until(lambda: self._reaches(NODES), "the grid's start")

    @property
    def crowd(self) -> Crowd:
        """The client, and the storing nodes."""
        living = self._grid.living
        if self.node.process is None:
            raise AssertionError
        return Crowd((self.node.process.pid,), tuple(living), living[-1])

    def describe(self) -> str:
        """What it is, in a line."""
        version = subprocess.run([os.environ["TITHE_TAHOE"], "--version"], stdout=subprocess.PIPE, check=True)
        processes = f"{NODES} storing nodes and an introducer, a process each"
        return f"{version.stdout.decode().strip()}, {processes}; {_client(self._port, self._k, self._n)!r}"

    def put(self, source: Path, name: str) -> Done:
        """Upload by the client's web interface."""
        start = time.perf_counter()
        with source.open("rb") as file:
            response = self._request("PUT", "/uri", file, {"Content-Length": str(source.stat().st_size)})
            cap = response.read()
        seconds = time.perf_counter() - start
        if response.status not in {http.HTTPStatus.OK, http.HTTPStatus.CREATED}:
            raise ChildFailed(f"{response.status} {cap.decode()[-200:]}")
        self._caps[name] = cap.decode().strip()
        return Done(seconds, self._k, self._n)

    def get(self, name: str, out: Path) -> Done:
        """Download by the client's web interface, into a file that is not synced."""
        start = time.perf_counter()
        with out.open("wb") as file:
            response = self._request("GET", f"/uri/{self._caps[name]}")
            shutil.copyfileobj(response, file, PIECE)
        seconds = time.perf_counter() - start
        if response.status != http.HTTPStatus.OK:
            raise ChildFailed(f"{response.status} {out.read_bytes()[-200:]!r}")
        return Done(seconds, self._k, self._n)

    def remove(self, name: str) -> None:
        """Delete the shares behind the nodes' backs: Tahoe waits for leases to end."""
        index = _storage_index(self._caps.pop(name))
        for node in self._grid.nodes:
            shutil.rmtree(node.folder / "storage" / "shares" / index[:2] / index, ignore_errors=True)

    def suffer(self, condition: Condition) -> None:
        """Bring a condition about."""
        self._grid.suffer(condition)
        alive = len(self._grid.living)
        wait_until(lambda: self._reaches(alive), "a client's meeting the grid")

    def recover(self, condition: Condition) -> None:
        """Be well again."""
        self._grid.recover(condition)
        wait_until(lambda: self._reaches(NODES), "the grid's recovery")

    def _reaches(self, nodes: int) -> bool:
        """Whether the client has a connection to so many storing nodes."""
        try:
            return sum(one["connection_status"] == "connected" for one in self._servers()) == nodes
        except (OSError, ValueError, http.client.HTTPException):
            return False

    def _servers(self) -> list[dict[str, object]]:
        found: list[dict[str, object]] = json.loads(self._request("GET", "/?t=json").read())["servers"]
        return found

    def _request(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=RESPITE)
        connection.request(method, path, body, headers or {})  # type: ignore[arg-type]  # a file
        return connection.getresponse()


def _settings(port: int, announced: int | None = None) -> str:
    """Listen on a port; others are told another one where `announced`."""
    return (
        f"[node]\ntub.port = tcp:{port}:interface=127.0.0.1\n"
        f"tub.location = tcp:127.0.0.1:{announced or port}\n"
    )


def _storing(port: int, announced: int | None = None) -> str:
    return _settings(port, announced) + "[storage]\nenabled = true\n"


def _client(port: int, k: int, n: int) -> str:
    node = (
        f"[node]\nweb.port = tcp:{port}:interface=127.0.0.1\ntub.port = disabled\ntub.location = disabled\n"
    )
    code = f"[client]\nshares.needed = {k}\nshares.total = {n}\nshares.happy = {HAPPY}\n"
    return node + code + "[storage]\nenabled = false\n"


def _storage_index(cap: str) -> str:
    """Say under which name the shares of URI:CHK:KEY:... lie on disk (allmydata.util.hashutil)."""
    key = cap.split(":")[2].upper()
    secret = b32decode(key + "=" * (-len(key) % 8))
    tagged = b"%d:%b,%b" % (len(_INDEX_TAG), _INDEX_TAG, secret)
    index = sha256(sha256(tagged).digest()).digest()[:16]
    return b32encode(index).decode().rstrip("=").lower()
