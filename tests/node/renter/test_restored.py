"""Going on from an old copy: the renter's, the farmer's, or the phrase alone. Nothing is paid twice."""

import shutil
from contextlib import closing
from pathlib import Path

from node.db.farmer import TABLES as FARMER_TABLES
from node.db.farmer import list_books
from node.db.restoration import ask_later, list_frozen, mark_restored
from node.renter import TABLES
from node.renter.money import list_accounts
from node.renter.shelf import begin_again
from payments.types import NodeId, Timestamp
from settlement.copies import copy_database
from settlement.database import Database
from settlement.local_chain import warp
from settlement.tables import TABLES as CHAIN_TABLES
from tests.node.renter.support import INTERVAL, Neighbour, Village, content, outcomes, tell

FIRST, SECOND = content(70_000, "first"), content(50_000, "second")


def totals(place: Village) -> dict[NodeId, int]:
    """The highest total signed in each channel."""
    return {one.farmer: one.channel.promised for one in place.database.read(list_accounts)}


def held(farmer: Neighbour) -> int:
    """The best voucher a farmer has."""
    (book,) = farmer.farmer.farm.database.read(list_books)
    return book.earnings.covered + book.earnings.unpaid


def copy_renter(place: Village) -> Path:
    copy = place.folder / "copy.db"
    copy_database(place.folder / "renter.db", copy)
    return copy


async def go_back(place: Village, copy: Path | None, *, marked: bool = True) -> None:
    """Lose the renter's books, and go on from a copy of them, or from none."""
    await place.close_renter()
    for file in place.folder.glob("renter.db*"):
        file.unlink()
    if copy is not None:
        shutil.copy(copy, place.folder / "renter.db")
    if marked:
        now = Timestamp(place.clock.now)
        with closing(Database.at(place.folder / "renter.db", TABLES)) as database:
            database.write_sync(lambda conn: begin_again(conn, now, now))
    await place.open_renter()


async def lived(place: Village) -> Path:
    """Store a file and audit it; take a copy; store another one and audit both."""
    await place.fund()
    await place.store("first", FIRST, k=2)
    await place.renter.audits.audit()
    copy = copy_renter(place)
    await place.store("second", SECOND, k=2)
    place.clock.pass_time(INTERVAL)
    await place.renter.audits.audit()
    assert await place.read("second") == SECOND
    return copy


def test_old_copy_learns_what_it_does_not_know_and_goes_on(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        copy = await lived(place)
        before, earned = totals(place), {one.node: held(one) for one in place.farmers}
        await go_back(place, copy)
        done = await place.renter.reconcile()
        assert (done.found, done.frozen, done.faults) == (("second",), (), ())
        assert totals(place) == before
        assert {one.node: place.earned(one.node) for one in place.farmers} == earned
        assert await place.read("first") == FIRST
        assert await place.read("second") == SECOND
        place.clock.pass_time(INTERVAL)
        assert outcomes(await place.renter.audits.audit()) == {"PASSED": 8}
        assert all(totals(place)[node] > total for node, total in before.items())

    tell(tmp_path, story)


def test_phrase_and_one_farmer_bring_every_file_back(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await lived(place)
        before = totals(place)
        await go_back(place, None)
        first = await place.renter.peers.add(place.farmers[0].url)
        await place.database.write(lambda conn: ask_later(conn, first.node))
        done = await place.renter.reconcile()
        assert set(done.found) == {"first", "second"}
        assert (done.frozen, done.faults) == ((), ())
        assert len(place.renter.peers.list()) == len(place.farmers)
        assert totals(place) == before
        assert await place.read("first") == FIRST
        assert await place.read("second") == SECOND
        place.clock.pass_time(INTERVAL)
        assert outcomes(await place.renter.audits.audit()) == {"PASSED": 8}

    tell(tmp_path, story)


def test_removed_file_does_not_come_back_with_an_old_copy(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        copy = await lived(place)
        await place.renter.files.rm("first")
        await place.renter.tick()
        await go_back(place, copy)
        done = await place.renter.reconcile()
        assert (done.found, done.removed) == (("second",), ("first",))
        assert [file.name for file in place.renter.files.ls()] == ["second"]

    tell(tmp_path, story)


def test_channel_of_an_unreachable_farmer_stays_frozen_until_it_answers(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        copy = await lived(place)
        gone = place.farmers[0]
        before = totals(place)
        await gone.stop()
        await go_back(place, copy)
        (channel,) = (await place.renter.reconcile()).frozen
        place.clock.pass_time(INTERVAL)
        report = await place.renter.audits.audit()
        assert outcomes(report) == {"PASSED": 6, "UNCHECKED": 2}
        assert totals(place)[gone.node] < before[gone.node]
        await place.renter.payments.pay_outstanding()
        (mine,) = [one for one in place.database.read(list_accounts) if one.farmer == gone.node]
        assert mine.channel.id == channel
        await go_back(place, copy_again(place), marked=False)
        assert place.database.read(list_frozen) == [channel]
        await gone.start()
        await place.renter.peers.add(gone.url)
        assert (await place.renter.reconcile()).frozen == ()
        assert totals(place)[gone.node] == before[gone.node]

    def copy_again(place: Village) -> Path:
        place.folder.joinpath("copy.db").unlink()
        return copy_renter(place)

    tell(tmp_path, story)


def test_frozen_channel_can_be_closed_and_another_one_opened(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        copy = await lived(place)
        gone = place.farmers[0]
        await gone.stop()
        await go_back(place, copy)
        (channel,) = (await place.renter.reconcile()).frozen
        exits = place.renter.exits
        await exits.send(await exits.plan_close([channel]))
        await warp(place.world.chain.rpc, 100_000)
        await exits.send(await exits.plan_withdraw([channel]))
        assert (await place.renter.reconcile()).frozen == ()

    tell(tmp_path, story)


def test_copy_put_back_by_hand_asks_before_it_signs(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        copy = await lived(place)
        before, earned = totals(place), sum(place.earned(one.node) for one in place.farmers)
        await go_back(place, copy, marked=False)
        place.clock.pass_time(INTERVAL)
        report = await place.renter.audits.audit()
        assert outcomes(report) == {"PASSED": 4}
        assert report.faults == ()
        after = totals(place)
        assert all(after[node] >= total for node, total in before.items())
        assert sum(place.earned(one.node) for one in place.farmers) == earned + sum(
            result.earned for result in report.results
        )

    tell(tmp_path, story)


def test_restored_farmer_claims_nothing_until_its_renter_has_handed_over_the_newest_voucher(
    tmp_path: Path,
) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        await place.store("first", FIRST, k=2)
        await place.renter.audits.audit()
        (farmer,) = place.farmers[:1]
        copy = place.folder / "farmer.db"
        copy_database(farmer.place / "money.db", copy)
        place.clock.pass_time(INTERVAL)
        await place.renter.audits.audit()
        before = held(farmer)
        await restore_farmer(farmer, copy)
        assert held(farmer) < before
        assert await farmer.farmer.collect(everything=True) == ()
        assert "restored from a copy" in " ".join(farmer.farmer.trouble)
        await place.restart_renter()
        place.clock.pass_time(INTERVAL)
        report = await place.renter.audits.audit()
        assert outcomes(report) == {"PASSED": 4}
        assert held(farmer) >= before
        (claimed,) = await farmer.farmer.collect(everything=True)
        assert claimed.claimed == held(farmer) == place.earned(farmer.node)
        assert farmer.farmer.trouble == ()

    async def restore_farmer(farmer: Neighbour, copy: Path) -> None:
        await farmer.stop()
        for file in farmer.place.glob("money.db*"):
            file.unlink()
        shutil.copy(copy, farmer.place / "money.db")
        now = Timestamp(farmer.clock.now)
        with closing(Database.at(farmer.place / "money.db", [*CHAIN_TABLES, *FARMER_TABLES])) as database:
            database.write_sync(lambda conn: mark_restored(conn, now, now))
        await farmer.start()

    tell(tmp_path, story)
