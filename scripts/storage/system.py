"""A System: a network that stores files, as the benchmark sees it; its processes, and what they use."""

import random
import socket
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

from scripts.storage.child import forget_peak, peak_memory, usage


class Condition(StrEnum):
    """What a network suffers while files are put and read."""

    PLAIN = "plain"
    DEAD = "30 % dead"
    SLOW = "10 % slow by 2 s"
    CORRUPT = "10 % corrupt"


DEAD_PART: Final = 0.3
SLOW_PART: Final = 0.1
CORRUPT_PART: Final = 0.1
"""Of the storing nodes; what whole processes host."""
SLOW_SECONDS: Final = 2.0
ROT_EVERY: Final = 1024
"""Bytes from one flipped byte of a shard to the next."""


@dataclass(frozen=True)
class Done:
    """A put or get that came to its end: its seconds, and the code by which the file is stored."""

    seconds: float
    k: int
    n: int


@dataclass(frozen=True)
class Crowd:
    """Processes: those of the client that puts and reads, those that store, and one that stands for these.

    sample: a process as near as can be to one storing node.
    """

    client: tuple[int, ...]
    storing: tuple[int, ...]
    sample: int


class System(Protocol):
    """Ours or a peer's. What goes wrong raises ChildFailed."""

    name: str

    @property
    def crowd(self) -> Crowd:
        """Its living processes."""
        ...

    def put(self, source: Path, name: str) -> Done:
        """Store a file."""
        ...

    def get(self, name: str, out: Path) -> Done:
        """Read it back."""
        ...

    def remove(self, name: str) -> None:
        """Have its disk space back."""
        ...

    def suffer(self, condition: Condition) -> None:
        """Bring a condition about, in a network that is well."""
        ...

    def recover(self, condition: Condition) -> None:
        """Be well again."""
        ...


class Meter:
    """What a system's processes use, from its making on. `cpu`: seconds of client and of storing nodes."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._before = self._now()
        for pid in (*crowd.client, crowd.sample):
            forget_peak(pid)

    @property
    def cpu(self) -> tuple[float, float]:
        """Seconds of the processor, so far."""
        client, storing = self._now()
        return client - self._before[0], storing - self._before[1]

    @property
    def peaks(self) -> tuple[int, int]:
        """Bytes of memory at most: of the client's processes together, of the sample."""
        return sum(map(peak_memory, self._crowd.client)), peak_memory(self._crowd.sample)

    def _now(self) -> tuple[float, float]:
        return usage(self._crowd.client), usage(self._crowd.storing)


def lasting_ports(count: int) -> list[int]:
    """Choose free ports below those that systems hand out: nobody takes one while its node is down."""
    found: list[int] = []
    for port in random.SystemRandom().sample(range(20_000, 30_000), 5_000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise OSError("not enough ports are free")


def share(nodes: int, part: float) -> int:
    """How many nodes a part of them is, at least one."""
    return max(1, round(nodes * part))
