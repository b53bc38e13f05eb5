"""Repair with real farmers: who dies is replaced, who comes back is kept, and caps hold."""

import asyncio
from pathlib import Path

import pytest

from node.audit import Outcome
from node.db.renter_repairs import sum_traffic
from node.db.renter_shards import ShardRecord, ShardState, load_deletions, load_shards
from node.manifest import open_manifest
from node.renter.errors import UnknownFile
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


def rot(*farmers: Neighbour) -> None:
    for farmer in farmers:
        for path in farmer.shards:
            path.write_bytes(bytes(path.stat().st_size))


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


def test_a_lost_shard_is_made_again_at_once_byte_for_byte(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place)
        liars = holders(place)[1:3]
        rot(*liars)
        await place.renter.audits.audit()
        assert standings(place)[1:3] == [Standing.LOST] * 2
        (plan, _) = place.renter.repairs.plan()
        assert plan.health.missing == (1, 2)
        result = (await place.renter.repairs.repair())[0]
        assert (result.ending, result.rebuilt) == (Ending.REPAIRED, 2)
        assert 0 < result.paid <= plan.price
        assert result.bytes == plan.bytes
        for farmer in holders(place)[:1] + holders(place)[3:]:
            await farmer.stop()
        assert await place.read("file") == DATA  # from the new ones alone

    tell(tmp_path, story, farmers=6)


def test_above_the_threshold_nothing_is_done_unless_everything_is_wished(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place)
        rot(holders(place)[0])
        await place.renter.audits.audit()
        assert place.renter.files.stat("file").file.condition is Condition.GOOD
        assert place.renter.repairs.plan() == ()
        assert await place.renter.repairs.repair() == ()
        assert [plan.health.missing for plan in place.renter.repairs.plan(full=True)] == [(0,), (0,)]
        results = await place.renter.repairs.repair(["file"], full=True)
        assert [one.rebuilt for one in results] == [1, 1]
        with pytest.raises(UnknownFile):
            await place.renter.repairs.repair(["other"])

    tell(tmp_path, story, farmers=5)


def test_a_return_cancels_a_repair_that_is_planned(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place)
        away = holders(place)[:2]
        for farmer in away:
            await farmer.stop()
        await miss(place)
        assert len(place.renter.repairs.plan()) == 2
        await away[0].start()
        await place.renter.audits.audit()
        assert place.renter.repairs.plan() == ()
        assert await place.renter.repairs.repair() == ()
        assert not [path for farmer in spare(place) for path in farmer.shards]

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
        assert {shard.agreement for shard in place.renter.files.stat("file").shards} == before
        check_books(place)
        await place.renter.tick()
        assert not [path for farmer in fresh for path in farmer.shards]

    tell(tmp_path, story, farmers=6, wired=True)


def test_a_days_traffic_is_never_passed_not_even_by_a_restart(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place)
        rot(*holders(place)[:2])
        await place.renter.audits.audit()
        plans = place.renter.repairs.plan()
        cap = plans[0].bytes + 10
        too_small = await place.renter.repairs.repair(cap=cap - 20)
        assert {one.ending for one in too_small} == {Ending.CAP_TOO_SMALL}
        await place.restart_renter()
        results = await place.renter.repairs.repair(cap=cap)
        assert [one.ending for one in results] == [Ending.REPAIRED, Ending.CAPPED]
        await place.restart_renter()
        (waits,) = await place.renter.repairs.repair(cap=cap)
        assert waits.ending is Ending.CAPPED
        assert place.database.read(lambda conn: sum_traffic(conn, Timestamp(0))) <= cap
        place.clock.pass_time(DAY + 1)
        (last,) = await place.renter.repairs.repair(cap=cap)
        assert last.ending is Ending.REPAIRED

    tell(tmp_path, story, farmers=6)


def test_the_segment_in_the_greatest_danger_comes_first(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        await place.store("file", DATA, k=1, n=5, segment_size=45_000)
        for farmer in holders(place)[:3]:
            for path in farmer.shards:
                if path.stem in {row.agreement_id.hex() for row in rows(place) if row.segment == 0}:
                    path.write_bytes(b"")
        for farmer in holders(place)[:4]:
            for path in farmer.shards:
                if path.stem in {row.agreement_id.hex() for row in rows(place) if row.segment == 1}:
                    path.write_bytes(b"")
        await place.renter.audits.audit()
        plans = place.renter.repairs.plan()
        assert [(plan.health.segment, plan.health.healthy) for plan in plans] == [(1, 1), (0, 2)]

    tell(tmp_path, story, farmers=5)


def test_without_spare_farmers_the_repair_says_so_and_costs_nothing(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place)
        rot(*holders(place)[:2])
        await place.renter.audits.audit()
        earned = sum(place.earned(farmer.node) for farmer in place.farmers)
        results = await place.renter.repairs.repair(cap=10**9)
        assert {one.ending for one in results} == {Ending.NO_FARMER}
        assert sum(place.earned(farmer.node) for farmer in place.farmers) == earned
        assert await place.renter.repairs.repair(cap=10**9) == ()  # rests for an hour

    tell(tmp_path, story, farmers=4)


def test_a_repair_that_was_killed_is_gone_on_with_or_leaves_nothing(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place)
        rot(*holders(place)[:2])
        await place.renter.audits.audit()
        file = place.renter.files._known("file")
        repairs = place.renter.repairs
        succeed = repairs._succeed

        async def die(*_: object) -> None:
            raise asyncio.CancelledError

        repairs._succeed = die  # type: ignore[assignment, method-assign]
        with pytest.raises(asyncio.CancelledError):
            await repairs.repair(["file"])
        repairs._succeed = succeed  # type: ignore[method-assign]
        assert [row.state for row in rows(place)].count(ShardState.REBUILT) == 2
        await place.restart_renter()
        assert await place.read("file") == DATA
        results = await place.renter.repairs.repair()
        assert [(one.segment, one.rebuilt) for one in results] == [(1, 2)]
        check_books(place)
        assert file.manifest != place.renter.files._known("file").manifest
        await place.renter.tick()
        kept = [row for row in rows(place) if row.state is ShardState.STORED]
        assert sum(len(farmer.shards) for farmer in place.farmers) == len(kept) == 8

    tell(tmp_path, story, farmers=6)


def test_a_file_that_is_removed_meanwhile_is_not_repaired(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        await place.store("file", content(40_000), k=2, n=4)
        rot(*holders(place)[:2])
        await place.renter.audits.audit()
        succeed = place.renter.repairs._succeed

        async def remove_first(*arguments: object) -> object:
            await place.renter.files.rm("file")
            return await succeed(*arguments)  # type: ignore[arg-type]

        place.renter.repairs._succeed = remove_first  # type: ignore[assignment, method-assign]
        await place.renter.repairs.repair()
        await place.renter.tick()
        assert not [path for farmer in place.farmers for path in farmer.shards]
        assert not place.database.read(load_deletions)

    tell(tmp_path, story, farmers=6)


def test_a_run_repairs_by_itself_and_says_so(tmp_path: Path) -> None:
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
        assert {shard.outcome for shard in place.renter.files.stat("file").shards} == {Outcome.PASSED, None}

    tell(tmp_path, story, farmers=6)
