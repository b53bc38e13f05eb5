"""Files with real farmers: every size, every way a put can fail, and what is left behind."""

import asyncio
import io
from pathlib import Path

import pytest

from node.db.renter_files import FileState, load_files
from node.db.renter_shards import load_deletions
from node.errors import SegmentSizeOutOfRange
from node.renter.errors import NameTaken, NotEnoughFarmers, PutFailed, UnknownFile
from node.renter.reports import Trouble
from tests.node.renter.support import Village, content, tell


def test_files_of_all_sizes_come_back(tmp_path: Path) -> None:
    sizes = {"empty": 0, "byte": 1, "chunk": 65_536, "segments": 150_001}

    async def story(place: Village) -> None:
        await place.fund()
        for name, size in sizes.items():
            await place.store(name, content(size, name), k=2, n=5, segment_size=70_000)
        assert [(file.name, file.size) for file in place.renter.files.ls()] == sorted(sizes.items())
        for name, size in sizes.items():
            assert await place.read(name) == content(size, name)
        back = io.BytesIO()
        seen: list[tuple[int, int]] = []
        report = await place.renter.files.get(
            "segments", back, progress=lambda done, total: seen.append((done, total))
        )
        assert back.getvalue() == content(150_001, "segments")
        assert report.faults == ()
        assert report.paid > 0
        assert seen[-1] == (150_001, 150_001)
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)

    tell(tmp_path, story, farmers=5)


def test_a_stream_is_read_to_its_end(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        data = content(100_000)
        report = await place.renter.files.put(io.BytesIO(data), "stream", segment_size=33_000)
        assert report.file.size == 100_000
        assert set(report.farmers) == {one.node for one in place.farmers}
        assert report.price_per_month > 0
        assert await place.read("stream") == data

    tell(tmp_path, story, farmers=2)


def test_a_put_says_until_when_the_file_is_safe(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        report = await place.renter.files.put(io.BytesIO(b"x"), "file")
        interval, grace = 3_600, 7 * 86_400
        assert report.file.safe_until == place.clock.now + interval + grace
        assert report.file.ends_at >= place.clock.now + 90 * 86_400
        await place.renter.payments.prepay(30 * 86_400)  # type: ignore[arg-type]
        assert place.renter.files.ls()[0].safe_until == place.clock.now + 30 * 86_400 + interval + grace

    tell(tmp_path, story, farmers=2)


def test_names_are_unique_and_removal_frees_them(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        await place.store("file", b"old")
        with pytest.raises(NameTaken):
            await place.store("file", b"new")
        report = await place.renter.files.rm("file")
        assert (report.deleted, report.pending) == (3, ())
        assert not any(one.shards for one in place.farmers)
        for action in (place.renter.files.rm("file"), place.renter.files.get("file", tmp_path / "out")):
            with pytest.raises(UnknownFile):
                await action
        with pytest.raises(UnknownFile):
            place.renter.files.stat("file")
        await place.store("file", b"new")
        assert await place.read("file") == b"new"
        assert not (tmp_path / "out").exists()

    tell(tmp_path, story, farmers=3)


def test_a_removal_reaches_an_absent_farmer_later(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        await place.store("file", b"content")
        absent = place.farmers[0]
        await absent.stop()
        report = await place.renter.files.rm("file")
        assert [(fault.farmer, fault.trouble) for fault in report.pending] == [(absent.node, Trouble.OFFLINE)]
        await absent.start()
        assert len(absent.shards) == 1
        await place.renter.tick()
        assert not absent.shards
        assert not place.database.read(load_deletions)

    tell(tmp_path, story, farmers=2)


def test_a_farmer_that_fails_is_replaced_by_a_spare_one(tmp_path: Path) -> None:
    data = content(90_000)

    async def story(place: Village) -> None:
        await place.fund()
        first, second = place.farmers[0], place.farmers[1]
        assert first.wire
        assert second.wire
        first.wire.lose_requests.append("PUT")
        second.wire.tamper = lambda _, body: body.replace(b'"STORED"', b'"DELETED"')
        report = await place.renter.files.put(io.BytesIO(data), "file", k=2, n=3, segment_size=30_000)
        assert {first.node, second.node}.isdisjoint(report.farmers)
        assert {fault.farmer for fault in report.faults} <= {first.node, second.node}
        first.wire.lose_requests.clear()
        await place.renter.tick()
        assert not first.shards
        assert not second.shards
        assert await place.read("file") == data

    tell(tmp_path, story, farmers=5, wired=True)


def test_a_put_without_spare_farmers_fails_and_leaves_nothing(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        broken = place.farmers[1]
        assert broken.wire
        broken.wire.lose_requests.append("PUT")
        with pytest.raises(PutFailed) as caught:
            await place.store("file", content(90_000), k=2, n=3, segment_size=30_000)
        assert {fault.farmer for fault in caught.value.faults} == {broken.node}
        assert not place.renter.files.ls()
        broken.wire.lose_requests.clear()
        await place.renter.tick()
        assert not any(one.shards for one in place.farmers)
        assert not place.database.read(load_deletions)
        assert not place.database.read(lambda conn: load_files(conn, FileState.PUTTING))
        await place.store("file", b"again", k=2, n=3)

    tell(tmp_path, story, farmers=3, wired=True)


def test_a_cancelled_put_leaves_nothing(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        begun = asyncio.Event()
        put = asyncio.create_task(
            place.renter.files.put(
                io.BytesIO(content(200_000)), "file", segment_size=30_000, progress=lambda *_: begun.set()
            )
        )
        await begun.wait()
        put.cancel()
        with pytest.raises(asyncio.CancelledError):
            await put
        await place.renter.tick()
        assert not any(one.shards for one in place.farmers)
        assert not place.renter.files.ls()

    tell(tmp_path, story, farmers=2)


def test_too_few_farmers_are_counted_with_the_reasons(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        with pytest.raises(NotEnoughFarmers) as nobody:
            await place.store("file", b"x")
        assert nobody.value.usable == 0
        await place.fund()
        await place.farmers[0].stop()
        with pytest.raises(NotEnoughFarmers) as caught:
            await place.store("file", b"x", n=3)
        assert (caught.value.needed, caught.value.usable) == (3, 2)
        assert [fault.trouble for fault in caught.value.faults] == [Trouble.OFFLINE]
        await place.store("file", b"x")
        assert place.renter.files.ls()[0].n == 2
        with pytest.raises(SegmentSizeOutOfRange):
            await place.store("other", b"x", segment_size=1023)
        with pytest.raises(FileNotFoundError):
            await place.renter.files.put(tmp_path / "no such file", "other")
        assert [file.name for file in place.renter.files.ls()] == ["file"]

    tell(tmp_path, story, farmers=3)


def test_farmers_without_a_channel_are_not_used(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.meet()
        with pytest.raises(NotEnoughFarmers) as caught:
            await place.store("file", b"x")
        assert {fault.trouble for fault in caught.value.faults} == {Trouble.NO_MONEY}
        assert "tithe channel fund" in str(caught.value)

    tell(tmp_path, story, farmers=2)


def test_stat_shows_every_shard(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        await place.store("file", content(50_000), k=1, n=3, segment_size=25_000)
        health = place.renter.files.stat("file")
        assert health.healthy == (3, 3)
        assert [(shard.segment, shard.index) for shard in health.shards] == [
            (segment, index) for segment in range(2) for index in range(3)
        ]
        assert all(shard.outcome is None for shard in health.shards)

    tell(tmp_path, story, farmers=3)
