"""Uploads: laggards are overtaken, the dying replaced, killed puts gone on with, small files kept by few."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from node.db import Connection
from node.db.renter_files import FileState, load_files
from node.db.renter_peers import count_lapse
from node.db.renter_segments import load_segments
from node.db.renter_shards import ShardRecord, ShardState, load_deletions, load_shards
from node.renter import shelf
from node.renter.put import Putter
from node.renter.reports import PutReport, Trouble
from node.renter.resume import RESUMABLE_SECONDS
from node.shard_store import IncomingShard, StoreFull
from tests.node.renter.support import Neighbour, Village, content, tell

SEGMENT = 30_000
UPLOAD = "PUT /v1/agreements"


class Dying(io.BytesIO):
    """A file whose reader dies at some byte."""

    def __init__(self, data: bytes, at: int) -> None:
        super().__init__(data)
        self._at = at

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() >= self._at:
            raise OSError("the process is gone")
        return super().read(size)


async def put(place: Village, data: bytes, k: int | None = None, n: int | None = None) -> PutReport:
    """Store a file that lies on the disk."""
    source = place.folder / "source"
    source.write_bytes(data)
    return await place.renter.files.put(source, "file", k=k, n=n, segment_size=SEGMENT)


async def die_amid_put(place: Village, patch: pytest.MonkeyPatch, data: bytes, at: int) -> None:
    """Leave what a renter leaves that is ended by SIGKILL while it reads byte `at`; then start it again."""

    async def nothing(*_: object) -> None:
        """Who is dead tidies nothing up."""

    with patch.context() as dead:
        dead.setattr(Putter, "_give_up", nothing)
        with pytest.raises(OSError, match="gone"):
            await place.renter.files.put(Dying(data, at), "file", k=2, n=3, segment_size=SEGMENT)
    await place.restart_renter()


async def call_last(place: Village, farmer: Neighbour) -> None:
    """Let a farmer be called only when all others are: it has missed an audit."""
    await place.database.write(lambda conn: count_lapse(conn, farmer.node, passed=False))


def shards(place: Village) -> list[ShardRecord]:
    """The shards of the one file that there is."""

    def work(conn: Connection) -> list[ShardRecord]:
        (file,) = [*load_files(conn, FileState.STORED), *load_files(conn, FileState.PUTTING)]
        return list(load_shards(conn, file.file_id))

    return place.database.read(work)


def test_a_laggards_shard_goes_to_a_spare_farmer(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        laggard, *_, spare = place.farmers
        await call_last(place, spare)
        assert laggard.wire is not None
        laggard.wire.stalls.append(UPLOAD)
        report = await put(place, content(2 * SEGMENT), k=2, n=4)
        assert laggard.node not in report.farmers
        assert spare.node in report.farmers
        told = {(fault.farmer, fault.trouble) for fault in report.faults}
        assert told == {(laggard.node, Trouble.TIMED_OUT)}
        stored = [shard for shard in shards(place) if shard.state is ShardState.STORED]
        assert {shard.agreement.farmer for shard in stored} == set(report.farmers)
        assert len(stored) == 2 * 4
        assert await place.read("file") == content(2 * SEGMENT)
        await place.renter.tick()
        assert not place.database.read(load_deletions)
        assert not laggard.shards
        await place.renter.files.rm("file")
        await place.database.write(lambda conn: count_lapse(conn, spare.node, passed=True))
        again = await put(place, content(100), k=2, n=4)
        assert laggard.node not in again.farmers
        assert again.faults == ()

    tell(tmp_path, story, farmers=5, wired=True)


def test_who_is_overtaken_and_has_the_shard_after_all_is_told_to_forget_it(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        laggard, *_, spare = place.farmers
        await call_last(place, spare)
        assert laggard.wire is not None
        laggard.wire.lag = 1.0
        report = await put(place, content(100), k=2, n=4)
        assert laggard.node not in report.farmers
        await place.renter.tick()
        assert laggard.wire.count("PUT") == 1
        assert laggard.wire.count("DELETE") >= 1
        assert not laggard.shards
        assert not place.database.read(load_deletions)

    tell(tmp_path, story, farmers=5, wired=True)


def test_without_a_spare_farmer_a_laggard_is_waited_for(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        assert place.farmers[0].wire is not None
        place.farmers[0].wire.lag = 0.5
        report = await put(place, content(100), k=2, n=4)
        assert place.farmers[0].node in report.farmers
        assert report.faults == ()

    tell(tmp_path, story, farmers=4, wired=True)


@pytest.mark.parametrize("fate", ["dies", "full"])
def test_a_farmer_that_fails_amid_an_upload_is_replaced(tmp_path: Path, fate: str) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        first, *_, spare = place.farmers
        await call_last(place, spare)
        if fate == "dies":
            assert first.wire is not None
            first.wire.lose_requests.append(UPLOAD)
        else:
            first.farmer.farm.store.receive = _no_room(first)  # type: ignore[method-assign]
        report = await put(place, content(3 * SEGMENT), k=2, n=3)
        assert spare.node in report.farmers
        assert [fault.farmer for fault in report.faults][:1] == [first.node]
        assert await place.read("file") == content(3 * SEGMENT)
        await place.renter.tick()
        assert not first.shards
        assert not place.database.read(load_deletions)

    tell(tmp_path, story, farmers=4, wired=True)


def _no_room(farmer: Neighbour) -> Callable[[], IncomingShard]:
    def receive() -> IncomingShard:
        raise StoreFull(farmer.place)

    return receive


def test_a_killed_put_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = content(4 * SEGMENT + 7)

    async def story(place: Village) -> None:
        await place.fund()
        await die_amid_put(place, monkeypatch, data, at=3 * SEGMENT)
        before = [shard for shard in shards(place) if shard.state is ShardState.STORED]
        assert before
        report = await put(place, data, k=2, n=3)
        assert report.resumed == len(before) // 3
        assert report.file.segments == 5
        kept = [shard for shard in shards(place) if shard.state is ShardState.STORED]
        assert set(before) <= set(kept)
        assert len(kept) == 5 * 3
        assert await place.read("file") == data
        await place.renter.tick()
        assert sum(len(farmer.shards) for farmer in place.farmers) == 5 * 3
        assert not place.database.read(lambda conn: load_segments(conn, kept[0].file_id))

    tell(tmp_path, story, farmers=4)


def test_a_killed_puts_segments_serve_for_their_own_plaintext_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        await die_amid_put(place, monkeypatch, content(4 * SEGMENT), at=3 * SEGMENT)
        other = content(4 * SEGMENT, "other")
        report = await put(place, other, k=2, n=3)
        assert report.resumed == 0
        assert await place.read("file") == other
        await place.renter.tick()
        assert sum(len(farmer.shards) for farmer in place.farmers) == 4 * 3
        assert not place.database.read(load_deletions)

    tell(tmp_path, story, farmers=3)


def test_a_killed_put_that_nobody_goes_on_with_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        await die_amid_put(place, monkeypatch, content(4 * SEGMENT), at=3 * SEGMENT)
        await place.renter.tick()
        assert any(farmer.shards for farmer in place.farmers)
        place.clock.pass_time(RESUMABLE_SECONDS)
        await place.renter.tick()
        assert not any(farmer.shards for farmer in place.farmers)
        assert not place.database.read(lambda conn: load_files(conn, FileState.PUTTING))

    tell(tmp_path, story, farmers=3)


def test_a_small_file_is_kept_whole_by_few(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        small = await put(place, content(4_096))
        assert (small.file.k, small.file.n) == (1, 7)
        assert await place.read("file") == content(4_096)
        await place.renter.files.rm("file")
        streamed = await place.renter.files.put(io.BytesIO(content(4_097)), "file")
        assert (streamed.file.k, streamed.file.n) == (2, 7)

    tell(tmp_path, story, farmers=7)


def test_a_new_file_stands_on_some_shelves_at_once_and_on_all_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "AT_ONCE", 1)

    async def story(place: Village) -> None:
        await place.fund()

        def kept() -> list[int]:
            me = place.keys.node.node
            return sorted(len(farmer.farmer.shelf(me).entries) for farmer in place.farmers)

        await put(place, content(100), k=1, n=1)
        assert kept() == [0, 0, 2]
        await place.renter.tick()
        assert kept() == [2, 2, 2]

    tell(tmp_path, story, farmers=3)


def test_a_farmer_that_is_gone_since_it_last_answered_is_no_reason_to_fail(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        await put(place, content(100), n=3)
        await place.renter.files.rm("file")
        await place.farmers[0].stop()
        await place.farmers[1].stop()
        report = await put(place, content(100), n=2)
        assert set(report.farmers) == {farmer.node for farmer in place.farmers[2:]}

    tell(tmp_path, story, farmers=4)
