"""Running a daemon in the foreground: its log on stderr, until Ctrl-C or SIGTERM."""

import asyncio
import errno
import logging
import resource
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from node.cli.errors import NotDone


class Daemon(Protocol):
    """What starts, and serves until it is stopped."""

    async def start(self) -> object:
        """Serve. Raises OSError where the port is taken."""

    async def stop(self) -> None:
        """Serve no longer."""


def until_stopped() -> asyncio.Event:
    """Log to stderr from now on; the event that is set when this program is to end.

    It may have as many files open as the system allows: many connections, and a shard for each.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # some systems call it infinite and take less
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("tithebarn").setLevel(logging.INFO)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def serve(daemon: Daemon, stop: asyncio.Event, tell: Callable[[], None], taken: str) -> None:
    """Start a daemon, `tell` of it, and stop it when the time has come. Raises NotDone(taken)."""
    try:
        await daemon.start()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise NotDone(taken) from None
    try:
        tell()
        await stop.wait()
    finally:
        await daemon.stop()
