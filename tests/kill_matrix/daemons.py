"""A daemon that is a process: it says where it listens, takes orders one by one, may die of any of them."""

from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from typing import Any

from tests.kill_matrix.actors import wait


class DaemonProcess:
    """One life after another of the same daemon. `target` is told all it needs, then where orders come."""

    def __init__(self, context: ForkServerContext, target: Callable[..., None]) -> None:
        self._context = context
        self._target = target
        self._process: BaseProcess | None = None
        self._orders: Connection | None = None

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.is_alive()

    def start(self, *arguments: Any, **options: Any) -> str | None:  # noqa: ANN401 - the target's
        """Start it anew; where it listens, or None if it has not lived to say so."""
        self.stop()
        ours, theirs = self._context.Pipe()
        self._process = self._context.Process(
            target=self._target, args=(*arguments, theirs), kwargs=options, daemon=True
        )
        self._process.start()
        theirs.close()
        self._orders = ours
        with suppress(EOFError):
            return str(ours.recv())
        return None

    def order(self, what: str) -> bool:
        """Have it do something by itself; whether it has lived to say that it is done."""
        assert self._orders is not None
        with suppress(EOFError, ConnectionResetError, BrokenPipeError):
            self._orders.send(what)
            return bool(self._orders.recv() == what)
        return False

    def stop(self) -> None:
        """End it, in the middle of whatever it does."""
        if self._process is not None:
            self._process.kill()
            wait(self._process)

    def died(self) -> int:
        """How it has ended; it must."""
        assert self._process is not None
        return wait(self._process)
