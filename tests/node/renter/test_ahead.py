"""Time paid ahead, and time in which nothing was audited: both sides must count it alike."""

from dataclasses import replace
from pathlib import Path

from node.renter.limits import USUAL
from node.renter.reports import FileInfo
from node.renter.schedule import DAY
from payments.prices import Prices
from payments.types import Amount, Seconds
from tests.node.renter.support import INTERVAL, TOKEN, Village, content, outcomes, tell

DEAR = Prices(Amount(20 * TOKEN), Amount(10**15), Amount(10**6))
"""Prices at which a few megabytes are worth more in a day than farmers lend to everybody."""
BEARABLE = replace(USUAL, prices=DEAR)
GRACE = 7 * DAY


def info(place: Village, name: str) -> FileInfo:
    return next(file for file in place.renter.files.ls() if file.name == name)


def test_a_file_stored_after_a_time_away_owes_nothing_for_it(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund(TOKEN)
        await place.store("small", content(1_000), k=1, n=2)
        place.clock.pass_time(5 * DAY)
        await place.store("large", content(3_000_000), k=1, n=2)
        for farmer in place.farmers:
            (renter,) = (await farmer.farmer.status()).renters
            assert renter.owed < 10**13
        assert outcomes(await place.renter.audits.audit()) == {"PASSED": 4}

    tell(tmp_path, story, farmers=2, prices=DEAR, limits=BEARABLE)


def test_a_file_stored_later_shares_what_was_paid_ahead(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund(TOKEN)
        await place.store("first", content(3_000_000), k=1, n=2)
        await place.renter.payments.prepay(Seconds(10 * DAY))
        place.clock.pass_time(2 * DAY)
        await place.store("second", content(3_000_000, "second"), k=1, n=2)
        now = place.clock.now
        half = now + 4 * DAY + INTERVAL + GRACE
        for name in ("first", "second"):
            assert abs(info(place, name).safe_until - half) < 60
        place.clock.pass_time(4 * DAY - 600)
        for farmer in place.farmers:
            assert (await farmer.farmer.status()).renters[0].owed == 0
        place.clock.pass_time(DAY)
        for farmer in place.farmers:
            assert (await farmer.farmer.status()).renters[0].owed > 0
        assert outcomes(await place.renter.audits.audit()) == {"PASSED": 4}

    tell(tmp_path, story, farmers=2, prices=DEAR, limits=BEARABLE)


def test_paying_ahead_again_pays_no_time_twice(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund(TOKEN)
        await place.store("file", content(3_000_000), k=1, n=2)
        once = await place.renter.payments.prepay(Seconds(10 * DAY))
        totals = {result.farmer: result.total for result in once}
        again = await place.renter.payments.prepay(Seconds(10 * DAY))
        assert {result.farmer: result.total for result in again} == totals
        assert all(result.delivered and not result.added for result in again)
        place.clock.pass_time(5 * DAY)
        later = await place.renter.payments.prepay(Seconds(10 * DAY))
        assert [result.added for result in later] == [once[0].added // 2] * 2
        assert info(place, "file").safe_until == place.clock.now + 10 * DAY + INTERVAL + GRACE

    tell(tmp_path, story, farmers=2, prices=DEAR, limits=BEARABLE)


def test_what_an_absent_farmer_was_to_get_ahead_makes_nothing_safe_until_it_has_it(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund(TOKEN)
        await place.store("file", content(3_000_000), k=2, n=2)
        before = info(place, "file").safe_until
        absent = place.farmers[0]
        await absent.stop()
        results = await place.renter.payments.prepay(Seconds(10 * DAY))
        assert [result.farmer for result in results if not result.delivered] == [absent.node]
        assert info(place, "file").safe_until == before
        await absent.start()
        results = await place.renter.payments.prepay(Seconds(10 * DAY))
        assert all(result.delivered for result in results)
        assert info(place, "file").safe_until == before + 10 * DAY
        for farmer in place.farmers:
            (channel,) = (await farmer.farmer.status()).channels
            assert channel.paid == place.earned(farmer.node)

    tell(tmp_path, story, farmers=2, prices=DEAR, limits=BEARABLE)
