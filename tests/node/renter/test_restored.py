"""Going on from an old copy: the renter's, the farmer's, or the phrase alone. Nothing is paid twice."""

import shutil
import sqlite3
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

from node.db import Connection
from node.db.farmer import TABLES as FARMER_TABLES
from node.db.farmer import list_books
from node.db.farmer_agreements import list_agreements
from node.db.restoration import ask_later, list_frozen
from node.farmer import restored
from node.messages import AgreementState
from node.renter import TABLES
from node.renter.money import list_accounts
from node.renter.shelf import begin_again
from payments.types import Address, NodeId, Timestamp
from payments.vouchers import SigningKey
from settlement.calls import Call
from settlement.copies import copy_database
from settlement.database import Database
from settlement.local_chain import warp
from settlement.outbox import Outbox
from settlement.outbox_store import Attempt, Phase, add_attempt, add_wish, load_queued
from settlement.tables import TABLES as CHAIN_TABLES
from settlement.transactions import TRANSFER_GAS, Transaction, sign_transaction
from tests.node.renter.support import INTERVAL, Neighbour, Village, content, outcomes, tell

STRANGER = Address(bytes.fromhex("5e" * 20))
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


async def restore_farmer(farmer: Neighbour, copy: Path) -> None:
    """Have a farmer go on from a copy of its books."""
    await farmer.stop()
    for file in farmer.place.glob("money.db*"):
        file.unlink()
    shutil.copy(copy, farmer.place / "money.db")
    now = Timestamp(farmer.clock.now)
    with closing(Database.at(farmer.place / "money.db", [*CHAIN_TABLES, *FARMER_TABLES])) as database:
        database.write_sync(lambda conn: restored.begin_again(conn, now, now))
    await farmer.start()


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

    tell(tmp_path, story)


def gift(amount: int) -> Call:
    """Ether for somebody who has none."""
    return Call(STRANGER, b"", amount)


async def balance(place: Village) -> int:
    return await place.world.chain.balance(STRANGER)


async def sign_unsent(place: Village, database: Database, key: SigningKey, call: Call) -> None:
    """Leave a transaction behind that was signed and never broadcast."""
    chain = place.world.chain
    nonce, fees = await chain.rpc.nonce(key.address), await chain.rpc.fees()
    wish = Transaction(chain.deployment.chain_id, nonce, call.to, call.data, call.value, TRANSFER_GAS, fees)
    attempt = Attempt(sign_transaction(wish, key), fees, place.clock.now)

    def work(conn: Connection) -> None:
        queued = add_wish(conn, "gift", key.address, call, place.clock.now)
        add_attempt(conn, replace(queued, nonce=nonce, gas=TRANSFER_GAS), attempt)

    await database.write(work)


def phases(database: Database) -> list[Phase]:
    """What has become of every transaction that was a gift."""
    ids = range(1, 100)

    def work(conn: Connection) -> list[Phase]:
        found = []
        for queued in ids:
            with suppress(KeyError):
                found.append(load_queued(conn, queued))
        return [one.phase for one in found if one.purpose == "gift"]

    return database.read(work)


def test_wish_of_a_copy_that_was_carried_out_since_is_not_carried_out_again(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        key = place.world.payer
        poor = Outbox(place.database, place.world.chain, ceiling=1)
        await poor.submit("gift", gift(5), key)
        copy = copy_renter(place)
        sender = Outbox(place.database, place.world.chain)
        await sender.wait(await sender.submit("gift", gift(5), key))
        await go_back(place, copy)
        for _ in range(3):
            await place.renter.tick()
        assert await balance(place) == 5
        assert phases(place.database) == [Phase.CANCELLED]

    tell(tmp_path, story, farmers=1)


def test_signed_transaction_of_a_copy_waits_until_the_chain_is_read(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        await sign_unsent(place, place.database, place.world.payer, gift(5))
        await go_back(place, copy_renter(place))
        assert await balance(place) == 0
        await place.renter.channels.refresh()
        await place.renter.tick()
        assert await balance(place) == 5

    tell(tmp_path, story, farmers=1)


def test_restored_farmer_sends_no_claim_of_its_copy_again(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        (farmer,) = place.farmers
        database = farmer.farmer.farm.database
        await sign_unsent(place, database, farmer.gas_key, gift(5))
        copy = place.folder / "farmer.db"
        copy_database(farmer.place / "money.db", copy)
        await restore_farmer(farmer, copy)
        for _ in range(2):
            await farmer.farmer.follow()
        assert await balance(place) == 0
        assert phases(farmer.farmer.farm.database) == [Phase.CANCELLED]

    tell(tmp_path, story, farmers=1)


def test_farmer_restored_from_before_a_channel_learns_channel_agreements_and_vouchers_again(
    tmp_path: Path,
) -> None:
    async def story(place: Village) -> None:
        (farmer,) = place.farmers
        copy = place.folder / "farmer.db"
        copy_database(farmer.place / "money.db", copy)
        await place.fund()
        await place.store("first", FIRST, k=1, n=1)
        await place.renter.audits.audit()
        earned = place.earned(farmer.node)
        await restore_farmer(farmer, copy)
        assert await place.read("first") == FIRST
        paid = place.earned(farmer.node)
        assert paid > earned > 0
        await restore_farmer(farmer, copy)
        await place.restart_renter()
        place.clock.pass_time(INTERVAL)
        report = await place.renter.audits.audit()
        assert outcomes(report) == {"PASSED": len(farmer.shards)}
        assert held(farmer) == place.earned(farmer.node) == paid + sum(one.earned for one in report.results)
        assert farmer.farmer.trouble == ()

    tell(tmp_path, story, farmers=1)


def test_farmer_restored_from_between_proposal_and_shard_stands_by_its_signature(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        (farmer,) = place.farmers
        copy = place.folder / "farmer.db"
        await place.fund()
        await place.store("first", FIRST, k=1, n=1)
        farm = farmer.farmer.farm
        stored = farm.database.read(lambda conn: list_agreements(conn, state=AgreementState.STORED))
        copy_database(farmer.place / "money.db", copy)
        with closing(sqlite3.connect(copy)) as books, books:
            books.execute("UPDATE farmer_agreement SET state = 'PROPOSED', farmer_signature = NULL")
            books.execute("UPDATE farmer_account SET stored = 0, stored_bytes = 0")
        await restore_farmer(farmer, copy)
        place.clock.pass_time(2 * INTERVAL)
        await farmer.farmer.sweep()  # the proposal is over by its own time
        assert outcomes(await place.renter.audits.audit()) == {"PASSED": len(stored)}

    tell(tmp_path, story, farmers=1)


def test_farmer_that_has_lost_the_shard_too_cannot_be_reminded_of_it(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        (farmer,) = place.farmers
        copy = place.folder / "farmer.db"
        copy_database(farmer.place / "money.db", copy)
        await place.fund()
        await place.store("first", FIRST, k=1, n=1, segment_size=40_000)
        lost, *kept = farmer.shards
        lost.unlink()
        await restore_farmer(farmer, copy)
        assert outcomes(await place.renter.audits.audit()) == {"PASSED": len(kept), "FAILED": 1}

    tell(tmp_path, story, farmers=1)
