"""Repair with real farmers: who dies is replaced, who comes back is kept, and caps hold."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest

from node.db.renter_repairs import sum_traffic
from node.db.renter_shards import ShardRecord, ShardState, load_deletions, load_shards
from node.manifest import open_manifest
from node.renter.health import Condition, Standing
from node.renter.repair_reports import Ending, RepairResult
from node.renter.schedule import DAY
from payments.types import Timestamp
from tests.node.renter.support import DEADLINE, Neighbour, Village, content, tell

DATA = content(90_000)
GRACE = 7 * DAY


async def stored(place: Village, k: int = 2, n: int = 4) -> None:
    """Two segments of 45 kB, 2 of 4: at least 3 are to be healthy."""
    await place.fund()
    await place.store("file", DATA, k=k, n=n, segment_size=45_000)


def holders(place: Village) -> list[Neighbour]:
    """Farmers of the first segment, by index."""
    shards = place.renter.files.stat("file").shards
    return [place.farmer(shard.farmer) for shard in shards if not shard.segment]


def spare(place: Village) -> list[Neighbour]:
    held = {farmer.node for farmer in holders(place)}
    return [farmer for farmer in place.farmers if farmer.node not in held]


async def audit(place: Village) -> None:
    """Audit everything, and let the window of whoever is silent close."""
    await place.renter.audits.audit()
    place.clock.pass_time(DEADLINE + 1)
    await place.renter.audits.audit()


async def miss(place: Village) -> None:
    """Notice who is away, and wait for longer than the grace."""
    await audit(place)
    place.clock.pass_time(GRACE + 1)
    await audit(place)


def rot(*farmers: Neighbour, only: Iterable[ShardRecord] | None = None) -> None:
    """Turn shards into zeros, or only those of these."""
    names = None if only is None else {shard.agreement_id.hex() for shard in only}
    for path in (path for farmer in farmers for path in farmer.shards):
        if names is None or path.stem in names:
            path.write_bytes(bytes(path.stat().st_size))


async def endings(place: Village, cap: int | None = None) -> list[Ending]:
    return [result.ending for result in await place.renter.repairs.repair(cap=cap)]


def standings(place: Village, segment: int = 0) -> list[Standing]:
    shards = place.renter.files.stat("file").shards
    return [shard.standing for shard in shards if shard.segment == segment]


def rows(place: Village) -> tuple[ShardRecord, ...]:
    file = place.renter.files._known("file")
    return place.database.read(lambda conn: load_shards(conn, file.file_id))


def check_books(place: Village) -> None:
    """Manifest and books name the same shards, one an index, none of one segment with one farmer."""
    live = [shard for shard in rows(place) if shard.state is ShardState.STORED]
    file = place.renter.files._known("file")
    manifest = open_manifest(file.manifest, place.keys.master)
    named = [shard.agreement for segment in manifest.segments for shard in segment.shards]
    assert sorted(named) == sorted(shard.agreement_id for shard in live)
    assert not [shard for shard in rows(place) if shard.state in {ShardState.PROPOSED, ShardState.REBUILT}]


def test_the_dead_are_replaced_and_the_file_outlives_all_its_first_farmers(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place)
        first = holders(place)
        for farmer in first[:2]:
            await farmer.stop()
        await audit(place)
        assert standings(place) == [Standing.AWAY, Standing.AWAY, Standing.HEALTHY, Standing.HEALTHY]
        assert await place.renter.repairs.repair() == ()
        place.clock.pass_time(GRACE + 1)
        health = place.renter.files.stat("file")
        assert [segment.healthy for segment in health.segments] == [2, 2]
        assert health.file.condition is Condition.WEAK
        results = await place.renter.repairs.repair()
        assert [(one.ending, one.rebuilt) for one in results] == [(Ending.REPAIRED, 2)] * 2
        check_books(place)
        assert standings(place) == standings(place, 1) == [Standing.HEALTHY] * 4
        for farmer in first[2:]:
            await farmer.stop()
        assert await place.read("file") == DATA
        assert not {farmer.node for farmer in holders(place)[:2]} & {farmer.node for farmer in first}
        for farmer in first[:2]:
            await farmer.start()
            assert len(farmer.shards) == 2
        await place.renter.tick()
        assert not [path for farmer in first[:2] for path in farmer.shards]
        assert not place.database.read(load_deletions)

    tell(tmp_path, story, farmers=6)


def test_a_return_in_the_middle_drops_the_rest_and_ends_what_is_too_much(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        await place.store("file", content(40_000), k=2, n=4)
        before = {shard.agreement for shard in place.renter.files.stat("file").shards}
        away = holders(place)[:2]
        for farmer in away:
            await farmer.stop()
        await miss(place)
        assert len(place.renter.repairs.plan()) == 1
        fresh = spare(place)
        for farmer in fresh:
            assert farmer.wire
            farmer.wire.stalls.append("PUT")
        repair = asyncio.create_task(place.renter.repairs.repair())
        while not any(line.startswith("PUT") for one in fresh if one.wire for line in one.wire.seen):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        for farmer in away:
            await farmer.start()
        await place.renter.audits.audit()
        for farmer in fresh:
            assert farmer.wire
            farmer.wire.stalls.clear()
        (result,) = await repair
        assert (result.ending, result.rebuilt) == (Ending.NOT_NEEDED, 0)
        assert place.database.read(lambda conn: sum_traffic(conn, Timestamp(0))) == result.bytes
        assert not place.renter.repairs.plan()
        assert not await place.renter.repairs.repair()
        assert {shard.agreement for shard in place.renter.files.stat("file").shards} == before
        check_books(place)
        await place.renter.tick()
        assert not [path for farmer in fresh for path in farmer.shards]

    tell(tmp_path, story, farmers=6, wired=True)


def test_lost_shards_are_made_again_the_greatest_danger_first_within_a_days_traffic(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place, k=1, n=5)  # at least 3 are to be healthy
        first = holders(place)
        rot(first[0])
        await place.renter.audits.audit()
        assert place.renter.files.stat("file").file.condition is Condition.GOOD
        assert not place.renter.repairs.plan()
        assert not await place.renter.repairs.repair()
        assert [plan.health.missing for plan in place.renter.repairs.plan(full=True)] == [(0,), (0,)]
        rot(*first[1:3], only=[row for row in rows(place) if row.segment == 0])
        rot(*first[1:4], only=[row for row in rows(place) if row.segment == 1])
        await place.renter.audits.audit()
        plans = place.renter.repairs.plan()
        assert [(plan.health.segment, plan.health.healthy) for plan in plans] == [(1, 1), (0, 2)]
        cap = plans[0].bytes
        assert await endings(place, cap=plans[1].bytes - 1) == [Ending.CAP_TOO_SMALL] * 2
        await place.restart_renter()
        assert await endings(place, cap=cap) == [Ending.REPAIRED, Ending.CAPPED]
        await place.restart_renter()
        assert await endings(place, cap=cap) == [Ending.CAPPED]
        assert 0 < place.database.read(lambda conn: sum_traffic(conn, Timestamp(0))) <= cap
        place.clock.pass_time(DAY + 1)
        (last,) = await place.renter.repairs.repair(cap=cap)
        assert (last.ending, last.rebuilt) == (Ending.REPAIRED, 3)
        assert 0 < last.paid <= plans[1].price
        assert last.bytes == plans[1].bytes
        check_books(place)
        for farmer in first:
            await farmer.stop()
        assert await place.read("file") == DATA  # of what was made anew alone

    tell(tmp_path, story, farmers=8)


def test_a_repair_that_was_killed_is_gone_on_with_and_without_farmers_it_says_so(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place)
        rot(*holders(place)[:2])
        await place.renter.audits.audit()
        fresh = spare(place)
        for farmer in fresh:
            await farmer.stop()
        earned = sum(place.earned(farmer.node) for farmer in place.farmers)
        assert await endings(place, cap=10**9) == [Ending.NO_FARMER] * 2
        assert sum(place.earned(farmer.node) for farmer in place.farmers) == earned
        assert await endings(place, cap=10**9) == []  # they rest for an hour
        for farmer in fresh:
            await farmer.start()
            await place.renter.peers.add(farmer.url)

        async def die(*_: object) -> None:
            raise asyncio.CancelledError

        place.renter.repairs._succeed = die  # type: ignore[assignment, method-assign]
        with pytest.raises(asyncio.CancelledError):
            await place.renter.repairs.repair(["file"])
        assert [row.state for row in rows(place)].count(ShardState.REBUILT) == 2
        await place.restart_renter()
        assert await place.read("file") == DATA
        results = await place.renter.repairs.repair()
        assert [(one.segment, one.rebuilt) for one in results] == [(1, 2)]
        check_books(place)
        await place.renter.tick()
        assert sum(len(farmer.shards) for farmer in place.farmers) == 8

    tell(tmp_path, story, farmers=6)


def test_a_run_repairs_by_itself_but_no_file_that_is_removed_meanwhile(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        place.repair_cap = 10**9
        await place.restart_renter()
        await stored(place)
        rot(*holders(place)[:2])
        await place.renter.audits.audit()
        results: list[RepairResult] = []
        while len(results) < 2:
            results += (await place.renter.tick()).repairs
        assert [one.ending for one in results] == [Ending.REPAIRED] * 2
        assert place.renter.files.ls()[0].condition is Condition.GOOD
        rot(*holders(place)[2:])
        await place.renter.audits.audit()
        succeed = place.renter.repairs._succeed

        async def remove_first(*arguments: object) -> object:
            if place.renter.files.ls():
                await place.renter.files.rm("file")
            return await succeed(*arguments)  # type: ignore[arg-type]

        place.renter.repairs._succeed = remove_first  # type: ignore[assignment, method-assign]
        assert await endings(place) == [Ending.NOT_NEEDED] * 2
        await place.renter.tick()
        assert not [path for farmer in place.farmers for path in farmer.shards]
        assert not place.database.read(load_deletions)

    tell(tmp_path, story, farmers=6)
