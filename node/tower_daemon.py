"""The watchtower's daemon: a Tower with its HTTP server and the loop that looks at the chain."""

import asyncio
import logging
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

from node.api.limits import Limits
from node.api.server import HttpServer
from node.api.tower_routes import create_tower_app
from node.db.tower import TABLES
from node.identity import NodeKey
from node.tasks import end, repeat
from node.tower.tower import Tower
from settlement.database import Database
from settlement.tables import TABLES as CHAIN_TABLES

log = logging.getLogger("tithebarn.tower")


def open_tower_books(path: Path) -> Database:
    """Open a tower's database, made where there is none. Raises StorageError."""
    return Database.at(path, [*CHAIN_TABLES, *TABLES])


class TowerDaemon:
    """A tower from start to stop; `look_seconds` apart it looks at the chain. `start` raises OSError."""

    def __init__(self, tower: Tower, key: NodeKey, host: str, port: int, look_seconds: float) -> None:
        self.tower = tower
        self._key = key
        self._host = host
        self._port = port
        self._look_seconds = look_seconds
        self._stack = AsyncExitStack()
        self.url = ""

    async def start(self) -> Self:
        """Serve, and begin to look."""
        async with AsyncExitStack() as stack:
            server = HttpServer(self._host, self._port, Limits())
            stack.callback(server.close)
            self.url = server.url
            await self.tower.begin()
            await server.start(create_tower_app(self.tower, self._key, os.urandom(16), server.limits))
            stack.push_async_callback(server.stop)
            looking = repeat("look", self.tower.look, self._look_seconds, at_once=True)
            stack.push_async_callback(end, [asyncio.create_task(looking)])
            self._stack = stack.pop_all()
        log.info("tower_started node=%s url=%s", self._key.node.hex(), self.url)
        return self

    async def stop(self) -> None:
        """Stop serving; what is on disk is claimed by the next start."""
        await self._stack.aclose()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
