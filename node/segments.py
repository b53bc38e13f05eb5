"""A segment: at most 64 MiB of a file, the unit that has its own key, erasure code and shards.

Inside a segment the plaintext is cut into chunks of 64 KiB, the unit of encryption, so that a range can be
read without the rest. Every chunk but the last is full; an empty file is one segment with one empty chunk.
Files are read as streams: nothing here holds more than a few chunks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from node.errors import LengthOutOfRange, SegmentSizeOutOfRange

Buffer = bytes | bytearray | memoryview
"""What the codec reads: anything contiguous that holds bytes."""

SEGMENT_SIZE = 64 * 2**20
MIN_SEGMENT_SIZE = 2**10
"""A segment costs a key, a tree and an agreement with every farmer, whatever it holds."""
CHUNK_SIZE = 64 * 2**10


@dataclass(frozen=True, slots=True)
class Part:
    """What a range of a file needs of one segment: its plaintext bytes `start` to `stop`."""

    segment: int
    start: int
    stop: int


def segment_lengths(size: int, segment_size: int = SEGMENT_SIZE) -> tuple[int, ...]:
    """Return the plaintext length of each segment of a file of `size` bytes; an empty file has one, empty."""
    check_segment_size(segment_size)
    check_length("file size", size, 0)
    full, rest = divmod(size, segment_size)
    return (segment_size,) * full + ((rest,) if rest or not full else ())


def chunk_count(length: int) -> int:
    """Return the number of chunks in a segment of `length` plaintext bytes: at least one, perhaps empty."""
    return max(1, -(-length // CHUNK_SIZE))


def chunk_length(length: int, index: int) -> int:
    """Return the plaintext length of chunk `index` in a segment of `length` plaintext bytes."""
    return min(CHUNK_SIZE, length - index * CHUNK_SIZE)


def chunks_covering(start: int, stop: int) -> range:
    """Return the indices of the chunks that hold the plaintext bytes `start` to `stop` of a segment."""
    return range(start // CHUNK_SIZE, max(start // CHUNK_SIZE + 1, -(-stop // CHUNK_SIZE)))


def parts_covering(lengths: tuple[int, ...], offset: int, length: int) -> Iterator[Part]:
    """Yield what a range of a file needs of each of its segments, which have these plaintext lengths.

    A range that reaches beyond the end of the file raises LengthOutOfRange.
    """
    check_length("range", offset + length, 0, sum(lengths))
    first = 0
    for segment, segment_length in enumerate(lengths):
        start, stop = max(offset - first, 0), min(offset + length - first, segment_length)
        if start < stop:
            yield Part(segment, start, stop)
        first += segment_length


def read_segments(file: BinaryIO, segment_size: int = SEGMENT_SIZE) -> Iterator[Iterator[bytes]]:
    """Yield each segment of a file as an iterator over its chunks, reading the file once, front to back.

    Works on pipes: the size need not be known. A segment must be used up before the next one is asked for, as
    with `itertools.groupby`.
    """
    check_segment_size(segment_size)
    ahead = read_exactly(file, min(CHUNK_SIZE, segment_size))
    while True:
        segment = _Segment(file, segment_size, ahead)
        yield iter(segment)
        ahead = segment.ahead
        if not ahead:
            return


class _Segment:
    """One segment being read; `ahead` is the first chunk of what follows it, once it is used up."""

    def __init__(self, file: BinaryIO, size: int, first: bytes) -> None:
        self._file = file
        self._size = size
        self.ahead = first

    def __iter__(self) -> Iterator[bytes]:
        left = self._size
        while True:
            chunk = self.ahead
            left -= len(chunk)
            self.ahead = read_exactly(self._file, min(CHUNK_SIZE, left or self._size)) if chunk else b""
            yield chunk
            if not left or not self.ahead:
                return


def read_exactly(file: BinaryIO, size: int) -> bytes:
    """Read exactly `size` bytes, fewer only at the end of the file, however short the reads of a pipe are."""
    chunk = file.read(size)
    while 0 < len(chunk) < size:
        more = file.read(size - len(chunk))
        if not more:
            break
        chunk += more
    return chunk


def check_segment_size(size: int) -> None:
    """Raise SegmentSizeOutOfRange unless files may be cut into segments of `size` bytes."""
    if not MIN_SEGMENT_SIZE <= size <= SEGMENT_SIZE:
        raise SegmentSizeOutOfRange(size, MIN_SEGMENT_SIZE, SEGMENT_SIZE)


def check_length(name: str, length: int, least: int, most: int | None = None) -> None:
    """Raise LengthOutOfRange unless `length` is within `least` and `most`."""
    if length < least or (most is not None and length > most):
        raise LengthOutOfRange(name, length, least, most)
