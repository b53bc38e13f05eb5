"""The cast: who plays in the story, how many of them turn bad, and in what way.

A villain acts on its own disk, as a real one would: nothing in renter or farmer knows that it is in a story.
"""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final, Protocol

from node.demo.errors import ImpossibleStory
from node.errors import SegmentSizeOutOfRange
from node.segments import SEGMENT_SIZE, check_segment_size
from payments.types import Address, NodeId

FLIP_EVERY: Final = 1024
"""Bytes between two flipped ones: at least one in every leaf of a shard."""


class Fate(Enum):
    """What becomes of a farmer."""

    HONEST = "kept everything"
    THREW_AWAY = "threw its shards away"
    WENT_OFFLINE = "went offline"
    CORRUPTED = "let its shards rot"
    KILLED = "kept everything, was killed"
    SPARE = "was not needed"


VILLAINS: Final = (Fate.THREW_AWAY, Fate.WENT_OFFLINE, Fate.CORRUPTED)


class Actor(Protocol):
    """A farmer of the story, inside this process or in one of its own."""

    @property
    def name(self) -> str:
        """What it is called in the story."""
        ...

    @property
    def node(self) -> NodeId:
        """Its node id."""
        ...

    @property
    def payee(self) -> Address:
        """Who is paid."""
        ...

    @property
    def url(self) -> str:
        """Where it listens."""
        ...

    @property
    def shards(self) -> Path:
        """The folder of its shards."""
        ...

    async def kill(self) -> None:
        """End it without a warning; its disk stays as it is."""
        ...

    async def claim(self) -> None:
        """Claim all its vouchers, having come back if it was dead."""
        ...


@dataclass(frozen=True, slots=True)
class Shape:
    """The proportions of a story: farmers, code, audit rounds, bytes of a segment. Raises ImpossibleStory."""

    farmers: int = 12
    k: int = 4
    n: int = 12
    rounds: int = 3
    segment_size: int = SEGMENT_SIZE

    def __post_init__(self) -> None:
        if not 1 <= self.k < self.n:
            raise ImpossibleStory(f"k {self.k} of n {self.n}: n must be above k, and k at least 1")
        if self.n > self.farmers:
            raise ImpossibleStory(f"{self.farmers} farmers cannot hold {self.n} shards, one each")
        if self.rounds < len(("before", "after")):
            raise ImpossibleStory(
                f"{self.rounds} rounds: there must be one before and one after things go wrong"
            )
        try:
            check_segment_size(self.segment_size)
        except SegmentSizeOutOfRange as error:
            raise ImpossibleStory(str(error)) from None

    @property
    def villains(self) -> tuple[Fate, ...]:
        """Those that turn bad: as many of the three as the code can lose."""
        return VILLAINS[: self.n - self.k]

    @property
    def killed(self) -> int:
        """How many honest farmers are killed besides: then exactly k are left."""
        return self.n - self.k - len(self.villains)


def throw_away(shards: Path) -> int:
    """Delete every shard of a farmer; how many there were."""
    files = _shard_files(shards)
    for file in files:
        file.unlink()
    return len(files)


def let_rot(shards: Path) -> int:
    """Flip bits in every leaf of every shard of a farmer; how many shards."""
    files = _shard_files(shards)
    for file in files:
        data = bytearray(file.read_bytes())
        for place in range(0, len(data), FLIP_EVERY):
            data[place] ^= 0xFF
        file.write_bytes(data)
    return len(files)


def _shard_files(shards: Path) -> list[Path]:
    return sorted(path for path in shards.rglob("*.shard") if path.is_file())
