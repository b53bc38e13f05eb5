"""Ranges: any bytes of a file, from the farmers that hold them or from k others, and hardly more."""

import io
import random
from pathlib import Path

import pytest

from node.db.stats import Statistics
from node.renter.errors import FileUnavailable, RangeOutOfFile
from tests.node.renter.support import Village, content, tell

SEGMENT = 200_000
DATA = content(3 * SEGMENT - 50_000)
SLACK = 3 * 1024 + 2 * 65_552
"""What a range may take besides itself: the rest of its first and last chunk, of their leaves, and proofs."""


async def stored(place: Village, k: int = 3, n: int = 6) -> None:
    await place.fund()
    await place.store("file", DATA, k=k, n=n, segment_size=SEGMENT)


async def read(place: Village, offset: int, length: int | None) -> bytes:
    out = io.BytesIO()
    report = await place.renter.files.get("file", out, offset=offset, length=length)
    assert (report.offset, report.length) == (offset, len(out.getvalue()))
    return out.getvalue()


def counters(place: Village) -> list[Statistics]:
    return [one.farmer.farm.stats for one in place.farmers]


def sold(counted: list[Statistics]) -> int:
    """Bytes that farmers have read for renters so far."""
    return sum(one.totals.get("bytes_sold", 0) for one in counted)


def test_any_range_comes_back_and_reads_no_more_than_its_chunks(tmp_path: Path) -> None:
    dice = random.Random(7)
    edges = [(0, 1), (65_535, 2), (SEGMENT - 1, 2), (len(DATA) - 1, 1), (0, 0), (len(DATA), 0), (5, None)]
    drawn = [(dice.randrange(len(DATA)), dice.choice((1, 900, 70_000, 250_000))) for _ in range(12)]

    async def story(place: Village) -> None:
        await stored(place)
        all_of = counters(place)
        for offset, length in [*edges, *((at, min(size, len(DATA) - at)) for at, size in drawn)]:
            before = sold(all_of)
            stop = len(DATA) if length is None else offset + length
            assert await read(place, offset, length) == DATA[offset:stop]
            assert sold(all_of) - before <= (stop - offset) + 2 * SLACK
            if length is not None and length < 1_000:
                assert sold(all_of) - before <= 2 * 65_552 + 4 * 1024

    tell(tmp_path, story, farmers=6)


def test_a_range_whose_farmers_are_gone_is_decoded_from_the_same_range_of_k_others(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place)
        all_of = counters(place)
        shards = place.renter.files.stat("file").shards
        for shard in shards:
            if shard.segment == 0 and shard.index < 3:
                await place.farmer(shard.farmer).stop()
        before = sold(all_of)
        assert await read(place, 10, 100) == DATA[10:110]
        assert sold(all_of) - before <= 3 * (65_552 + 2 * 1024)
        assert await read(place, 0, None) == DATA

    tell(tmp_path, story, farmers=6)


def test_a_range_beyond_the_file_is_refused(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        await place.store("file", b"x" * 100, k=1, n=2)
        out = tmp_path / "out"
        for offset, length in ((101, None), (0, 101), (100, 1), (-1, None), (0, -1)):
            with pytest.raises(RangeOutOfFile) as caught:
                await place.renter.files.get("file", out, offset=offset, length=length)
            assert "100 bytes" in str(caught.value)
        assert not out.exists()
        await place.renter.files.get("file", out, offset=90)
        assert out.read_bytes() == b"x" * 10

    tell(tmp_path, story, farmers=2)


def test_a_range_of_a_lying_farmer_is_replaced_and_one_beyond_repair_leaves_nothing(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place, k=2, n=3)
        shards = [shard for shard in place.renter.files.stat("file").shards if shard.segment == 0]
        holder = place.farmer(shards[0].farmer)
        for path in holder.shards:
            path.write_bytes(bytes(byte ^ 1 for byte in path.read_bytes()))
        out = tmp_path / "back" / "out"
        out.parent.mkdir()
        report = await place.renter.files.get("file", out, offset=70_000, length=1_000)
        assert out.read_bytes() == DATA[70_000:71_000]
        assert {fault.farmer for fault in report.faults} == {holder.node}
        out.unlink()
        await place.farmer(shards[1].farmer).stop()
        with pytest.raises(FileUnavailable) as caught:
            await place.renter.files.get("file", out, offset=70_000, length=1_000)
        assert (caught.value.segment, caught.value.good, caught.value.needed) == (0, 1, 2)
        assert list(out.parent.iterdir()) == []

    tell(tmp_path, story, farmers=3)
