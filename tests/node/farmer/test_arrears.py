"""A missed audit is a missed payment: what a renter may owe is counted in intervals of its own storage."""

from dataclasses import replace
from pathlib import Path

import pytest

from node.db.farmer_agreements import list_sums
from node.farmer.farm import exposure_limit
from node.transport import PeerRefused
from payments.types import Amount, Seconds
from tests.node.farmer.support import Rig, content, run

MISSED = 9
PLENTY = 10**18


def test_who_audits_rarely_is_refused_until_it_pays(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        config = rig.farmer.farm.config
        rig.farmer.reconfigure(replace(config, offer=replace(config.offer, min_deposit=Amount(0))))
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
