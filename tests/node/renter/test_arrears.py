"""What a renter leaves unpaid, by removing files or by being away, it can pay: nobody honest is shut out."""

from dataclasses import replace
from pathlib import Path

from node.db import Connection
from node.db.farmer_agreements import list_sums
from node.db.renter_shards import ShardState, load_farmer_shards
from node.farmer.farm import load_debt
from node.renter.arrears import Unpaid, book_as_paid, total_due, unpaid_time
from node.renter.safety import Prepaid
from payments.prices import step_rate, storage_price
from payments.types import Amount, Seconds, Timestamp
from tests.node.renter.support import INTERVAL, Neighbour, Village, content, outcomes, tell
from tests.node.renter.test_renewals import DUE, OFFER

BIG, SMALL = content(60_000), content(6_000)
DAY = 86_400


async def begin(place: Village, **files: bytes) -> None:
    """Files with one farmer that lends a few intervals of what it stores and no more, and a passed audit."""
    (farmer,) = place.farmers
    farm = farmer.farmer.farm
    await place.fund()
    farmer.farmer.reconfigure(replace(farm.config, offer=replace(farm.config.offer, min_deposit=Amount(0))))
    for name, data in files.items():
        await place.store(name, data, k=1, n=1)
    place.clock.pass_time(60)
    assert set(outcomes(await place.renter.audits.audit())) == {"PASSED"}


def owed(conn: Connection, place: Village) -> Unpaid:
    """What the renter's books say."""
    (farmer,) = place.farmers
    return unpaid_time(conn, farmer.node, Prepaid(Seconds(0), Timestamp(0)), Timestamp(place.clock.now))


def exposed(farmer: Neighbour) -> Amount:
    """What its farmer's books say."""
    farm = farmer.farmer.farm
    (sums,) = farm.database.read(list_sums)
    return farm.database.read(lambda conn: load_debt(conn, farm.config, sums, farm.now())).exposed


def test_who_removes_a_file_after_missing_audits_is_served_for_the_rest(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await begin(place, big=BIG, small=SMALL)
        (farmer,) = place.farmers
        before = place.earned(farmer.node)
        place.clock.pass_time(6 * INTERVAL)
        await place.renter.files.rm("big")
        for _ in range(12):
            assert outcomes(await place.renter.audits.audit()) == {"PASSED": 1}
            place.clock.pass_time(INTERVAL)
            await farmer.farmer.sweep()
        assert before < place.earned(farmer.node) <= 10 * before
        assert await place.read("small") == SMALL

    tell(tmp_path, story, farmers=1)


def test_who_removes_all_after_missing_audits_may_store_again(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await begin(place, big=BIG)
        place.clock.pass_time(6 * INTERVAL)
        await place.renter.files.rm("big")
        await place.store("again", SMALL, k=1, n=1)

    tell(tmp_path, story, farmers=1)


def test_what_a_renewal_replaced_is_paid_for_as_well(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await begin(place, big=BIG)
        (farmer,) = place.farmers
        place.clock.pass_time(DUE - 2 * INTERVAL)
        await place.renter.audits.audit()
        await place.renter.payments.pay_outstanding()
        place.clock.pass_time(2 * INTERVAL)
        assert (await place.renter.renewals.renew()).count == 1
        await place.renter.repair()
        assert len(farmer.shards) == 1
        place.clock.pass_time(INTERVAL)
        asked, due = place.database.read(lambda conn: total_due(owed(conn, place))), exposed(farmer)
        assert due - 8 <= asked <= due + 8

    tell(tmp_path, story, farmers=1, offer=OFFER)


def test_what_was_given_up_is_owed_until_then_and_once(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await begin(place, big=BIG)
        (farmer,) = place.farmers
        place.clock.pass_time(2 * INTERVAL)
        await place.renter.files.rm("big")
        place.clock.pass_time(10 * DAY)
        (gone,) = place.database.read(lambda conn: load_farmer_shards(conn, farmer.node))
        assert gone.state is ShardState.GONE
        rate = step_rate(gone.agreement.step, gone.agreement.audit_interval)
        due = place.database.read(lambda conn: owed(conn, place))
        assert total_due(due) == storage_price(rate, Seconds(2 * INTERVAL)) == exposed(farmer)
        await place.database.write(lambda conn: book_as_paid(conn, due, total_due(due)))
        assert not place.database.read(lambda conn: owed(conn, place))

    tell(tmp_path, story, farmers=1)


def test_who_was_away_until_its_shards_were_deleted_may_store_again(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await begin(place, big=BIG)
        (farmer,) = place.farmers
        for _ in range(10):
            place.clock.pass_time(DAY)
            await farmer.farmer.sweep()
        assert not farmer.shards
        await place.restart_renter()
        assert outcomes(await place.renter.audits.audit()) == {"FAILED": 1}
        await place.store("new", SMALL, k=1, n=1)
        place.clock.pass_time(INTERVAL)
        assert outcomes(await place.renter.audits.audit()) == {"PASSED": 1}

    tell(tmp_path, story, farmers=1)
