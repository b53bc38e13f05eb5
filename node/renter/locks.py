"""Locks by name, between tasks of this process and between processes that share a home.

`rent run` goes on while `tithe put` or `get` run beside it, and all of them sign vouchers of the same
channels. The database keeps totals monotone; these locks keep one voucher in flight in a channel. They
are advisory locks on files (flock), so a killed process holds none.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from node.home import make_private_directory

RETRY_SECONDS: Final = 0.02
_MODE: Final = 0o600


class Locks:
    """Locks of one renter. `folder` is where other processes look; None keeps them within this one."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._tasks: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def hold(self, name: bytes) -> AsyncIterator[None]:
        """Wait for the lock of this name, and hold it. Raises DirectoryRefused."""
        lock = self._tasks.get(name)
        if lock is None:
            lock = self._tasks[name] = asyncio.Lock()
        async with lock:
            descriptor = self._open(name)
            try:
                while not _lock(descriptor):  # noqa: ASYNC110
                    await asyncio.sleep(RETRY_SECONDS)  # flock tells nobody when it is free
                yield
            finally:
                _close(descriptor)

    @asynccontextmanager
    async def try_hold(self, name: bytes) -> AsyncIterator[bool]:
        """Hold the lock of this name if nobody does; tell whether it worked."""
        lock = self._tasks.get(name)
        if lock is not None and lock.locked():
            yield False
            return
        descriptor = self._open(name)
        try:
            yield _lock(descriptor)
        finally:
            _close(descriptor)

    def _open(self, name: bytes) -> int | None:
        if self._folder is None:
            return None
        path = make_private_directory(self._folder) / f"{name.hex()}.lock"
        return os.open(path, os.O_RDWR | os.O_CREAT, _MODE)


def _lock(descriptor: int | None) -> bool:
    if descriptor is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _close(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)
