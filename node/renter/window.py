"""A Window: the part of one segment that a read needs, as bytes of its shards, and the memory they come to.

A range of the plaintext lies in whole chunks, those in whole leaves of some data shards. Where one data shard
has to be rebuilt, the same bytes of k others give it back, so what is needed is cut into stripes: between two
places `start` and `stop` it is the same shards all along. A whole segment is one stripe of all data shards.
What a data shard brings goes straight to where the ciphertext wants it; other shards get memory beside it.
Memory is reused: what the kernel has to hand out anew costs more than the cipher.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from node.cipher import ciphertext_span, decrypt_chunks
from node.erasure import Codec, Piece, pieces_covering
from node.leaf_ranges import whole_leaves
from node.manifest import Segment
from node.segments import CHUNK_SIZE, Part, chunks_covering


@dataclass(frozen=True, slots=True)
class Stripe:
    """The bytes `start` to `stop` of every shard; `wanted`: the data shards whose bytes there are needed."""

    start: int
    stop: int
    wanted: tuple[int, ...]

    @property
    def length(self) -> int:
        """Bytes of one shard."""
        return self.stop - self.start


class Memory:
    """Buffers that are used again. Not for several threads."""

    def __init__(self) -> None:
        self._free: list[bytearray] = []

    def take(self, size: int) -> bytearray:
        """Return a buffer of at least `size` bytes; what it holds is left over from before."""
        fitting = [one for one in self._free if len(one) >= size]
        if not fitting:
            return bytearray(size)
        best = min(fitting, key=len)
        self._free.remove(best)
        return best

    def give_back(self, buffer: bytearray) -> None:
        """Let a buffer be used again."""
        self._free.append(buffer)

    def clear(self) -> None:
        """Let all go that is not in use."""
        for buffer in self._free:
            buffer.clear()
        self._free = []


@dataclass(slots=True)
class Window:
    """What is needed of one segment, and what has come of it."""

    segment: Segment
    part: Part
    memory: Memory
    stripes: tuple[Stripe, ...] = field(init=False)
    found: dict[Stripe, dict[int, memoryview]] = field(init=False)
    _pieces: tuple[Piece, ...] = field(init=False)
    _held: list[bytearray] = field(init=False)
    _views: list[memoryview] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self._pieces = tuple(_pieces(self.segment, self.part))
        self.stripes = tuple(_stripes(self._pieces))
        self.found = {stripe: {} for stripe in self.stripes}
        self._held = [self.memory.take(self._place(self._pieces[-1].index, self._pieces[-1].stop))]

    def room(self, stripe: Stripe, index: int) -> memoryview:
        """Return where a shard's bytes of a stripe go."""
        if index in stripe.wanted:
            return self._view(self._held[0], self._place(index, stripe.start), stripe.length)
        beside = self.memory.take(stripe.length)
        self._held.append(beside)
        return self._view(beside, 0, stripe.length)

    def open(self, key: bytes) -> Iterator[bytes]:
        """Rebuild what is missing, and yield the plaintext of the part, at most a chunk at a time.

        Raises NotEnoughShards, CorruptChunk.
        """
        for stripe in self.stripes:
            self._rebuild(stripe)
        segment, part = self.segment, self.part
        chunks = chunks_covering(part.start, part.stop)
        start, stop = ciphertext_span(segment.plaintext_length, chunks)
        skipped = self._pieces[0].index * segment.shard_length + self._pieces[0].start
        sealed = self._view(self._held[0], start - skipped, stop - start)
        at = chunks.start * CHUNK_SIZE
        for chunk in decrypt_chunks(key, segment.id, segment.plaintext_length, sealed, chunks.start):
            yield chunk[max(0, part.start - at) : part.stop - at]
            at += len(chunk)

    def shards(self) -> dict[int, memoryview]:
        """Return the shards that have come of a whole segment, k or more: padding is zeros, and nobody's."""
        (stripe,) = self.stripes
        found, segment = self.found[stripe], self.segment
        padding = memoryview(bytes(stripe.length))
        empty = range(-(-segment.ciphertext_length // stripe.length), segment.k)
        return dict.fromkeys(empty, padding) | found

    def close(self) -> None:
        """Give the memory back; whoever still has a view of it cannot use it any more."""
        self.found = {}
        for view in self._views:
            view.release()
        self._views = []
        for buffer in self._held:
            self.memory.give_back(buffer)
        self._held = []

    def _rebuild(self, stripe: Stripe) -> None:
        found = self.found[stripe]
        missing = [index for index in stripe.wanted if index not in found]
        if missing:
            into = [self.room(stripe, index) for index in missing]
            Codec(self.segment.k, self.segment.n).rebuild(found, missing, into)

    def _view(self, buffer: bytearray, start: int, length: int) -> memoryview:
        with memoryview(buffer) as whole:
            view = whole[start : start + length]
        self._views.append(view)
        return view

    def _place(self, index: int, at: int) -> int:
        """Return where byte `at` of a data shard is in the memory of the window."""
        first = self._pieces[0]
        return (index - first.index) * self.segment.shard_length + at - first.start


def _pieces(segment: Segment, part: Part) -> Iterator[Piece]:
    """Yield the leaves of data shards that hold a part; where the ciphertext ends, to the shard's end."""
    span = ciphertext_span(segment.plaintext_length, chunks_covering(part.start, part.stop))
    each = segment.shard_length
    for piece in pieces_covering(*span, each):
        ends = piece.index * each + piece.stop == segment.ciphertext_length
        offset, length = whole_leaves(piece.start, each if ends else piece.stop, each)
        yield Piece(piece.index, offset, offset + length)


def _stripes(pieces: tuple[Piece, ...]) -> Iterator[Stripe]:
    places = sorted({place for piece in pieces for place in (piece.start, piece.stop)})
    for start, stop in pairwise(places):
        wanted = tuple(piece.index for piece in pieces if piece.start <= start and stop <= piece.stop)
        if wanted:
            yield Stripe(start, stop, wanted)


def cost_of(segment: Segment, part: Part) -> int:
    """Count the bytes of shards that a part takes when no farmer fails."""
    return sum(stripe.length * len(stripe.wanted) for stripe in _stripes(tuple(_pieces(segment, part))))
