"""Cutting files into segments and chunks, from any kind of file."""

import io
import os
import tracemalloc
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import LengthOutOfRange, SegmentSizeOutOfRange
from node.segments import (
    CHUNK_SIZE,
    MIN_SEGMENT_SIZE,
    SEGMENT_SIZE,
    Part,
    chunk_count,
    chunk_length,
    chunks_covering,
    parts_covering,
    read_segments,
    segment_lengths,
)


class Dribble(io.RawIOBase):
    """A file that gives at most 1,000 bytes a read, as a pipe may."""

    def __init__(self, data: bytes) -> None:
        self._rest = data

    def read(self, size: int = -1) -> bytes:
        taken = min(size, 1000)
        part, self._rest = self._rest[:taken], self._rest[taken:]
        return part


def cut(file: BinaryIO, segment_size: int) -> list[list[bytes]]:
    return [list(segment) for segment in read_segments(file, segment_size)]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, (0,)),
        (1, (1,)),
        (SEGMENT_SIZE, (SEGMENT_SIZE,)),
        (SEGMENT_SIZE + 1, (SEGMENT_SIZE, 1)),
        (10**9, (SEGMENT_SIZE,) * 14 + (10**9 - 14 * SEGMENT_SIZE,)),
    ],
)
def test_segment_lengths_are_full_but_the_last(size: int, expected: tuple[int, ...]) -> None:
    assert segment_lengths(size) == expected


def test_an_empty_file_is_one_segment_with_one_empty_chunk() -> None:
    assert cut(io.BytesIO(b""), MIN_SEGMENT_SIZE) == [[b""]]
    assert chunk_count(0) == 1
    assert chunk_length(0, 0) == 0


def test_a_file_of_full_segments_has_no_empty_one_at_its_end() -> None:
    assert cut(io.BytesIO(bytes(2048)), 1024) == [[bytes(1024)]] * 2


@given(
    st.integers(0, 3 * CHUNK_SIZE + 5),
    st.sampled_from([MIN_SEGMENT_SIZE, CHUNK_SIZE, CHUNK_SIZE + 7, 2 * CHUNK_SIZE]),
)
def test_cutting_agrees_with_the_lengths_and_joins_to_the_file(size: int, segment_size: int) -> None:
    data = os.urandom(size)
    segments = cut(io.BytesIO(data), segment_size)
    lengths = segment_lengths(size, segment_size)
    assert [[len(chunk) for chunk in segment] for segment in segments] == [
        [chunk_length(length, index) for index in range(chunk_count(length))] for length in lengths
    ]
    assert b"".join(chunk for segment in segments for chunk in segment) == data


def test_short_reads_of_a_pipe_do_not_shorten_chunks() -> None:
    data = os.urandom(2 * CHUNK_SIZE + 10)
    (segment,) = cut(Dribble(data), SEGMENT_SIZE)  # type: ignore[arg-type]
    assert segment == [data[:CHUNK_SIZE], data[CHUNK_SIZE : 2 * CHUNK_SIZE], data[2 * CHUNK_SIZE :]]


def test_reading_holds_a_few_chunks_however_long_the_file() -> None:
    with Path("/dev/zero").open("rb", buffering=0) as zeros:
        segments = read_segments(zeros)
        tracemalloc.start()
        for _ in next(segments):
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 8 * CHUNK_SIZE


@pytest.mark.parametrize("segment_size", [0, -1, 1, MIN_SEGMENT_SIZE - 1, SEGMENT_SIZE + 1])
def test_a_segment_size_out_of_bounds_is_refused_with_the_bounds(segment_size: int) -> None:
    with pytest.raises(SegmentSizeOutOfRange, match="from 1024 to 67108864"):
        segment_lengths(10, segment_size)
    with pytest.raises(SegmentSizeOutOfRange):
        next(read_segments(io.BytesIO(), segment_size))


@given(st.binary(max_size=6_000), st.data())
def test_parts_and_chunks_cover_exactly_the_range_asked_for(data: bytes, draw: st.DataObject) -> None:
    lengths = segment_lengths(len(data), MIN_SEGMENT_SIZE)
    start = draw.draw(st.integers(0, len(data)))
    stop = draw.draw(st.integers(start, len(data)))
    pieces = [
        data[MIN_SEGMENT_SIZE * part.segment :][part.start : part.stop]
        for part in parts_covering(lengths, start, stop - start)
    ]
    assert b"".join(pieces) == data[start:stop]
    assert all(pieces)


def test_a_range_beyond_the_end_is_refused() -> None:
    assert list(parts_covering((5, 2), 4, 3)) == [Part(0, 4, 5), Part(1, 0, 2)]
    with pytest.raises(LengthOutOfRange):
        list(parts_covering((5, 2), 4, 4))


def test_chunks_covering_a_range() -> None:
    assert chunks_covering(0, 1) == range(1)
    assert chunks_covering(CHUNK_SIZE - 1, CHUNK_SIZE + 1) == range(2)
    assert chunks_covering(CHUNK_SIZE, 3 * CHUNK_SIZE) == range(1, 3)
    assert chunks_covering(0, 0) == range(1)
