"""Agreements that end: renewed without sending a byte, by a run, as long as the owner wants the file."""

import asyncio
from dataclasses import replace
from pathlib import Path

from node.db.renter_shards import ShardState, load_shards
from node.farmer.config import Offer
from node.renter.health import Standing
from node.renter.run_reports import TickReport
from payments.prices import Prices
from payments.types import Amount, Seconds, Timestamp
from tests.node.renter.support import DEADLINE, INTERVAL, PRICES, Neighbour, Village, content, tell

DATA = content(40_000)
LIFE = Seconds(7 * INTERVAL)
"""Agreements run for six intervals and a margin; they are renewed in the last third."""
DUE = 19_000
"""So long after its start an agreement is renewed at once."""
OFFER = Offer(
    prices=PRICES,
    audit_interval=INTERVAL,
    response_deadline=DEADLINE,
    grace=Seconds(2 * INTERVAL),
    min_deposit=Amount(10**15),
    min_challenge_period=Seconds(60),
    max_agreement_seconds=LIFE,
)


async def stored(place: Village, seconds: Seconds | None = None) -> None:
    place.repair_cap = 10**9
    await place.restart_renter()
    await place.fund()
    await place.store("file", DATA, k=1, n=3, segment_size=20_000, seconds=seconds)


async def run(place: Village, seconds: int) -> list[TickReport]:
    """Let a run go on for so long, a step an interval."""
    stop, until = asyncio.Event(), place.clock.now + seconds
    ticks: list[TickReport] = []

    async def sleep(_: float) -> None:
        place.clock.pass_time(INTERVAL)
        if place.clock.now >= until:
            stop.set()

    await place.renter.run(stop, sleep=sleep, on_tick=ticks.append)
    return ticks


def uploads(place: Village) -> int:
    return sum(line.startswith("PUT") for one in place.farmers if one.wire for line in one.wire.seen)


async def reprice(farmer: Neighbour, factor: int) -> None:
    """Ask for more from now on."""
    prices = Prices(
        Amount(PRICES.storage_per_gb_month * factor), PRICES.download_per_gb, Amount(10**6 * factor)
    )
    await farmer.stop()
    farmer.settings = replace(farmer.settings, offer=replace(farmer.settings.offer, prices=prices))
    await farmer.start()


def test_a_file_lives_on_for_as_long_as_a_run_keeps_it(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place)
        sent, before = uploads(place), place.renter.files.ls()[0]
        ticks = await run(place, 2 * LIFE)
        after = place.renter.files.ls()[0]
        assert sum(tick.renewed for tick in ticks) >= 2 * 6
        assert after.ends_at > place.clock.now > before.ends_at
        assert uploads(place) == sent
        assert [len(farmer.shards) for farmer in place.farmers] == [2, 2, 2]
        assert not [fault for tick in ticks for fault in tick.faults]
        assert {audit.outcome.value for tick in ticks for audit in tick.audits} == {"PASSED"}
        assert await place.read("file") == DATA

    tell(tmp_path, story, farmers=3, offer=OFFER, wired=True)


def test_a_file_that_has_an_end_is_kept_until_then_and_no_longer(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place, Seconds(3 * INTERVAL))
        ends = place.renter.files.ls()[0].ends_at
        await run(place, 2 * INTERVAL)
        assert place.renter.files.ls()[0].ends_at == ends
        until = Timestamp(ends + 2 * INTERVAL)
        await place.renter.files.keep("file", until)
        assert place.renter.files.ls()[0].kept_until == until
        await run(place, 2 * INTERVAL)
        extended = place.renter.files.ls()[0].ends_at
        assert ends < until <= extended
        await run(place, 5 * INTERVAL)
        assert place.renter.files.ls()[0].ends_at == extended
        assert not place.renter.repairs.plan()

    tell(tmp_path, story, farmers=3, offer=OFFER)


def test_who_asks_too_much_or_lost_the_shard_is_replaced_before_the_end(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place)
        shards = place.renter.files.stat("file").shards
        dear, poor = (place.farmer(shard.farmer) for shard in shards[:2])
        await reprice(dear, 5)
        place.clock.pass_time(DUE)
        for path in poor.shards:
            path.unlink()
        renewed = await place.renter.renewals.renew()
        assert renewed.count == 2
        assert {fault.farmer for fault in renewed.faults} == {dear.node, poor.node}
        assert await place.renter.renewals.renew() == replace(renewed, count=0, faults=())
        place.clock.pass_time(2_500)
        stands = [shard.standing for shard in place.renter.files.stat("file").shards]
        assert stands.count(Standing.ENDING) == 4
        results = await place.renter.repairs.repair()
        assert sum(result.rebuilt for result in results) == 4
        held = {shard.farmer for shard in place.renter.files.stat("file").shards}
        assert not held & {dear.node, poor.node}
        assert await place.read("file") == DATA

    tell(tmp_path, story, farmers=5, offer=OFFER)


def test_renewals_that_are_interrupted_leave_one_agreement_each(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place)
        place.clock.pass_time(DUE)
        deaf, mute, _ = (farmer.wire for farmer in place.farmers)
        assert deaf
        assert mute
        deaf.lose_requests.append("POST /v1/agreements")
        mute.lose_answers.append("POST /v1/agreements")
        assert len((await place.renter.renewals.renew()).faults) == 2
        deaf.lose_requests.clear()
        mute.lose_answers.clear()
        await place.restart_renter()
        assert (await place.renter.tick()).renewed == 4
        await place.renter.tick()
        file = place.renter.files._known("file")
        rows = place.database.read(lambda conn: load_shards(conn, file.file_id))
        assert sum(row.state is ShardState.STORED for row in rows) == 6
        assert [len(one.shards) for one in place.farmers] == [2, 2, 2]

    tell(tmp_path, story, farmers=3, offer=OFFER, wired=True)
