"""`rent run` with real farmers and a clock of its own: intervals kept, missed, and a restart between them."""

import asyncio
from pathlib import Path

import pytest

from node.db.farmer import list_books
from node.db.renter_audits import load_open_audits
from node.db.renter_shards import load_farmer_shards
from node.renter.run import IDLE_SECONDS
from node.renter.run_reports import TickReport
from tests.node.renter.support import DEADLINE, INTERVAL, Neighbour, Village, content, tell

DATA = content(40_000)
AUDIT = "POST /v1/audits"


class Sleeper:
    """Sleeping moves the clock; after so many seconds it stops the run."""

    def __init__(self, place: Village, seconds: int) -> None:
        self.place = place
        self.until = place.clock.now + seconds
        self.stop = asyncio.Event()
        self.ticks: list[TickReport] = []

    async def sleep(self, seconds: float) -> None:
        self.place.clock.pass_time(min(seconds, self.until - self.place.clock.now))
        if self.place.clock.now >= self.until:
            self.stop.set()

    async def run(self) -> dict[str, int]:
        """Run for the time given; the outcomes by name."""
        await self.place.renter.run(self.stop, sleep=self.sleep, on_tick=self.ticks.append)
        found: dict[str, int] = {}
        for tick in self.ticks:
            for result in tick.audits:
                if result.decided:
                    found[result.outcome.value] = found.get(result.outcome.value, 0) + 1
        return found


def step(place: Village, farmer: Neighbour) -> int:
    shards = place.database.read(lambda conn: load_farmer_shards(conn, farmer.node))
    return sum(shard.agreement.step for shard in shards)


def books(farmer: Neighbour) -> tuple[int, int]:
    (book,) = farmer.farmer.farm.database.read(list_books)
    return book.earnings.covered, book.earnings.earned


async def stored(place: Village) -> None:
    """Two shards with each of three farmers."""
    await place.fund()
    await place.store("file", DATA, k=1, n=3, segment_size=20_000)


def test_parts_that_fail_keep_no_other_from_its_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise OverflowError("too large")

    async def story(place: Village) -> None:
        place.repair_cap = 10**9
        await place.restart_renter()
        await stored(place)
        renter = place.renter
        for part, name in ((renter.exits, "resume"), (renter.renewals, "renew"), (renter.shelf, "deliver")):
            monkeypatch.setattr(part, name, fail)
        sleeper = Sleeper(place, INTERVAL + 600)
        assert await sleeper.run() == {"PASSED": 6}
        assert all(tick.trouble.count("OverflowError: too large") == 3 for tick in sleeper.ticks)

    tell(tmp_path, story, farmers=3)


def test_three_intervals_one_missed_and_one_restart(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place)
        assert await Sleeper(place, INTERVAL - 1).run() == {}
        assert await Sleeper(place, INTERVAL // 2).run() == {"PASSED": 6}
        for farmer in place.farmers:
            assert books(farmer) == (step(place, farmer),) * 2
        await place.close_renter()
        place.clock.pass_time(INTERVAL)  # the second interval goes by and nobody audits
        await place.open_renter()
        assert await Sleeper(place, INTERVAL // 4).run() == {"PASSED": 6}
        assert await Sleeper(place, INTERVAL).run() == {"PASSED": 6}
        for farmer in place.farmers:
            worth = 3 * step(place, farmer)
            assert place.earned(farmer.node) == worth
            assert books(farmer) == (worth, worth)

    tell(tmp_path, story, farmers=3)


def test_a_restart_in_the_middle_of_an_audit_pays_it_once(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place)
        wires = [farmer.wire for farmer in place.farmers if farmer.wire]
        assert len(wires) == 3
        place.clock.pass_time(INTERVAL)
        for wire in wires:
            wire.lose_answers.append(AUDIT)
        await place.renter.tick()
        assert len(place.database.read(load_open_audits)) == 3
        await place.restart_renter()
        for wire in wires:
            wire.lose_answers.clear()
        assert await Sleeper(place, DEADLINE).run() == {"PASSED": 6}
        for wire, farmer in zip(wires, place.farmers, strict=True):
            assert len({body for line, body in wire.bodies if line == AUDIT}) == 1
            assert place.earned(farmer.node) == step(place, farmer)
            assert books(farmer) == (step(place, farmer),) * 2

    tell(tmp_path, story, farmers=3, wired=True)


def test_an_absent_farmer_is_tried_in_every_third_of_its_window(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place)
        absent = place.farmers[0]
        await absent.stop()
        sleeper = Sleeper(place, INTERVAL + DEADLINE + 1)
        assert await sleeper.run() == {"PASSED": 4, "OFFLINE": 2}
        tried = [tick.at for tick in sleeper.ticks if tick.faults]
        begun = tried[0]
        assert [at - begun for at in tried] == [0, DEADLINE // 3, 2 * DEADLINE // 3, DEADLINE]
        await absent.start()
        assert await Sleeper(place, INTERVAL).run() == {"PASSED": 6}

    tell(tmp_path, story, farmers=3)


def test_a_run_looks_around_every_minute(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place)
        report = await place.renter.tick()
        assert report.next_at == place.clock.now + IDLE_SECONDS
        place.clock.pass_time(INTERVAL - 10)
        report = await place.renter.tick()
        assert report.next_at == place.clock.now + 10
        assert report.trouble == ""

    tell(tmp_path, story, farmers=3)


def test_everything_earned_is_handed_over_when_the_run_ends(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place)
        place.clock.pass_time(INTERVAL)
        await place.renter.tick()
        farmer = place.farmers[0]
        assert books(farmer) == (0, step(place, farmer))
        stop = asyncio.Event()
        stop.set()
        payments = await place.renter.run(stop)
        assert len(payments) == 3
        assert all(payment.delivered and payment.added == payment.total for payment in payments)
        assert books(farmer) == (step(place, farmer),) * 2
        assert await place.renter.run(stop) == ()

    tell(tmp_path, story, farmers=3)


def test_after_the_end_nothing_is_audited_and_everything_is_paid(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        await place.store("file", DATA, k=1, n=3, seconds=2 * INTERVAL)
        place.clock.pass_time(INTERVAL)
        await place.renter.tick()
        place.clock.pass_time(10 * INTERVAL)
        report = await place.renter.tick()
        assert report.audits == ()
        assert len(report.payments) == 3
        assert (await place.renter.tick()).payments == ()

    tell(tmp_path, story, farmers=3)


def test_a_sleep_ends_when_the_run_is_stopped(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place)
        stop = asyncio.Event()
        running = asyncio.create_task(place.renter.run(stop))
        await asyncio.sleep(0.3)
        stop.set()
        async with asyncio.timeout(10):
            await running

    tell(tmp_path, story, farmers=3)
