"""A missed audit is a missed payment: what a renter may owe is counted in intervals of its own storage."""

from dataclasses import replace
from pathlib import Path

import pytest

from node.db.farmer_agreements import list_sums
from node.farmer.farm import exposure_limit
from node.transport import PeerRefused
from payments.types import Amount, Seconds, Timestamp
from tests.node.farmer.support import Rig, content, run

MISSED = 9
PLENTY = 10**18


def want_no_deposit(rig: Rig) -> None:
    """A renter that may owe much need not hold as much."""
    config = rig.farmer.farm.config
    rig.farmer.reconfigure(replace(config, offer=replace(config.offer, min_deposit=Amount(0))))


def test_who_audits_rarely_is_refused_until_it_pays(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        want_no_deposit(rig)
        async with rig.renter() as renter:
            terms = await renter.store(content(5_000))
            rig.clock.now += 2 * terms.audit_interval
            earned = await renter.pass_audit([terms], 0)
            rig.clock.now += MISSED * terms.audit_interval
            with pytest.raises(PeerRefused, match="EXPOSURE_EXCEEDED"):
                await renter.pass_audit([terms], earned)
            arrears = (MISSED + 1) * terms.step
            await renter.pay(renter.voucher(earned + arrears))
            assert await renter.pass_audit([terms], earned + arrears) == earned + arrears + terms.step

    run(tmp_path, story, max_exposure=PLENTY)


def test_a_debt_outlives_the_agreement_that_it_is_for(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        want_no_deposit(rig)
        async with rig.renter() as renter:
            data = content(5_000)
            terms = await renter.store(data)
            rig.clock.now += 2 * terms.audit_interval
            owed = (await renter.see()).exposure
            for later in range(3):
                renewal = await renter.agree(data, end=Timestamp(terms.end + 1 + later))
                await renter.propose(renewal)
                await renter.delete(terms)
                terms = renewal
            assert owed <= (await renter.see()).exposure <= owed + 8
            await renter.delete(terms)
            assert owed <= (await renter.see()).exposure <= owed + 8
            rig.clock.now += 400 * 86_400
            await rig.farmer.sweep()
            again = await renter.store(data)
            await rig.restart()
            assert owed <= (await renter.see()).exposure <= owed + 8
            rig.clock.now += again.audit_interval
            assert (await renter.see()).exposure >= owed + again.step - 1

    run(tmp_path, story, max_exposure=PLENTY)


def test_what_a_farmer_deletes_unpaid_is_forgiven_and_what_its_renter_deleted_is_not(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        want_no_deposit(rig)
        async with rig.renter() as renter:
            terms, deleted = [await renter.store(content(5_000, str(n))) for n in range(2)]
            rig.clock.now += MISSED * terms.audit_interval
            await renter.delete(deleted)
            owed = MISSED * deleted.step
            await rig.farmer.sweep()
            assert (await renter.see()).exposure > 2 * owed - 4
            rig.clock.now += terms.grace
            await rig.farmer.sweep()
            assert owed - 4 <= (await renter.see()).exposure <= owed + 4
            with pytest.raises(PeerRefused, match="EXPOSURE_EXCEEDED"):
                await renter.store(content(5_000))

    run(tmp_path, story, max_exposure=PLENTY)


def test_who_deletes_most_of_its_shards_is_served_for_the_rest(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        want_no_deposit(rig)
        async with rig.renter() as renter:
            kept, *others = [await renter.store(content(5_000, str(n))) for n in range(8)]
            rig.clock.now += kept.audit_interval * 9 // 10
            for one in others:
                await renter.delete(one)
            earned = 0
            for _ in range(8):
                earned = await renter.pass_audit([kept], earned)
                assert (await renter.see()).serving
                rig.clock.now += kept.audit_interval
            await renter.pay(renter.voucher(earned))
            assert (await renter.see()).exposure <= kept.step + 1

    run(tmp_path, story, max_exposure=PLENTY)


def test_the_limit_is_a_few_intervals_of_what_is_stored(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        farm = rig.farmer.farm
        async with rig.renter() as renter:
            terms = await renter.store(content(5_000))
            (sums,) = farm.database.read(list_sums)
            own = replace(farm.config, offer=replace(farm.config.offer, min_deposit=Amount(0)))
            few = exposure_limit(own, sums)
            assert own.max_intervals * terms.step <= few <= own.max_intervals * terms.step + 1
            assert exposure_limit(replace(own, max_exposure=Amount(few - 1)), sums) == few - 1
            assert exposure_limit(farm.config, sums) == max(few, farm.config.offer.min_deposit)
            assert exposure_limit(own, replace(sums, longest_interval=Seconds(0))) == 0

    run(tmp_path, story, max_exposure=PLENTY)
