"""Channels that a contract signs for (ERC-1271): refused by default, else lent to until they are claimed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.agreement import Agreement
from node.db.farmer_agreements import list_sums
from node.farmer.farm import exposure_limit
from payments.types import Amount
from tests.node.farmer.account_renter import account_renter, compile_accounts
from tests.node.farmer.support import Renter, Rig, content, refusal, run

DATA = content(5_000)
PLENTY = 10**18


@pytest.fixture(scope="module")
def accounts() -> dict[str, bytes]:
    return compile_accounts()


def accepting(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any field of the configuration
    return {"accept_contract_signers": True, "max_exposure": Amount(PLENTY), **changes}


def test_a_contract_signer_is_refused_unless_the_operator_accepts_it(
    tmp_path: Path, accounts: dict[str, bytes]
) -> None:
    async def story(rig: Rig) -> None:
        async with account_renter(rig, accounts["FickleAccount"]) as renter:
            assert (await refusal(renter.open())).error == "CONTRACT_SIGNER"
            rig.farmer.reconfigure(replace(rig.farmer.farm.config, accept_contract_signers=True))
            assert (await renter.open()).serving

    run(tmp_path, story)


def test_an_account_s_vouchers_count_as_unpaid_until_they_are_claimed(
    tmp_path: Path, accounts: dict[str, bytes]
) -> None:
    async def story(rig: Rig) -> None:
        async with account_renter(rig, accounts["FickleAccount"]) as renter:
            await renter.open()
            terms = await renter.store(DATA)
            earned = await renter.pass_audit([terms], 0)
            assert (await renter.pay(renter.voucher(earned))).exposure == earned
            await rig.restart()  # what signs is remembered
            assert (
                await renter.pay(renter.voucher(earned + 50))
            ).exposure == earned  # 50 are ahead of any work
            (outcome,) = await rig.farmer.collect(everything=True)
            assert outcome.claimed == earned + 50
            seen = await renter.see()
            assert (seen.claimed, seen.exposure) == (earned + 50, 0)
            assert await renter.pass_audit([terms], earned + 50) == earned + 50 + terms.step

    run(tmp_path, story, **accepting())


def test_another_key_s_signature_is_refused_and_the_previous_voucher_stays(
    tmp_path: Path, accounts: dict[str, bytes]
) -> None:
    async def story(rig: Rig) -> None:
        async with account_renter(rig, accounts["FickleAccount"]) as renter:
            await renter.open()
            await renter.pay(renter.voucher(100))
            refused = await refusal(renter.pay(renter.voucher(200, signer=rig.world.stranger)))
            assert (refused.status, refused.error) == (422, "ACCOUNT_REFUSES")
            assert refused.values == {"account": "0x" + renter.account.hex()}
            seen = await renter.see()
            assert seen.paid is not None
            assert seen.paid.voucher.cumulative_amount == 100
            renter.signer = rig.world.stranger
            assert (await refusal(renter.open())).error == "WRONG_NODE_KEY_SIGNATURE"
            refused = await refusal(renter.propose(await renter.agree(DATA)))
            assert refused.error == "WRONG_RENTER_SIGNATURE"

    run(tmp_path, story, **accepting())


def test_an_account_that_changes_its_mind_costs_no_more_than_the_exposure_limit(
    tmp_path: Path, accounts: dict[str, bytes]
) -> None:
    """It pays for every audit by a voucher, and then nothing that it signed can be claimed."""

    async def story(rig: Rig) -> None:
        lend_by_interval(rig)
        async with account_renter(rig, accounts["FickleAccount"]) as renter:
            await renter.open()
            terms = await renter.store(DATA)
            earned = 0
            while earned + terms.step <= limit(rig):
                rig.clock.now += terms.audit_interval
                earned = await renter.pass_audit([terms], earned)
            rig.clock.now += terms.audit_interval
            assert await refused_audit(renter, terms, earned) == "EXPOSURE_EXCEEDED"
            assert earned <= limit(rig) < (await renter.see()).exposure <= limit(rig) + terms.step
            await renter.forget()
            assert await rig.farmer.collect(everything=True) == ()
            assert "refuses it now" in rig.farmer.trouble[0]
            assert await refused_audit(renter, terms, earned + 1) == "ACCOUNT_REFUSES"
            assert (await renter.see()).claimed == 0

    run(tmp_path, story, **accepting())


def test_an_account_s_vouchers_are_claimed_before_they_fill_what_it_may_owe(
    tmp_path: Path, accounts: dict[str, bytes]
) -> None:
    """The minimum of other claims, a whole token, would never be reached: the renter could not go on."""

    async def story(rig: Rig) -> None:
        lend_by_interval(rig)
        async with account_renter(rig, accounts["FickleAccount"]) as renter:
            await renter.open()
            terms = await renter.store(DATA)
            earned = 0
            for _ in range(3 * rig.config.max_intervals):
                rig.clock.now += terms.audit_interval
                earned = await renter.pass_audit([terms], earned)
                await rig.farmer.collect()
            assert (await renter.see()).claimed >= earned - limit(rig)

    run(tmp_path, story, **accepting())


def lend_by_interval(rig: Rig) -> None:
    """Lend nobody the least deposit, which is worth thousands of these audits."""
    config = rig.farmer.farm.config
    rig.farmer.reconfigure(replace(config, offer=replace(config.offer, min_deposit=Amount(0))))


def limit(rig: Rig) -> int:
    (sums,) = rig.farmer.farm.database.read(list_sums)
    return exposure_limit(rig.farmer.farm.config, sums)


async def refused_audit(renter: Renter, terms: Agreement, earned: int) -> str:
    challenge = renter.challenge([terms])
    paid, promise = renter.voucher(earned), renter.conditional(challenge, earned + terms.step)
    return (await refusal(renter.audit(challenge, promise, paid))).error
