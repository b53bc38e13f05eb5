"""What a farmer does by itself: it follows the chain, claims in time, and deletes what is not paid."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from node.audit import Proof
from node.daemon import Rhythm
from node.db import Connection
from node.db.farmer import load_held, save_held
from node.db.farmer_agreements import load_agreement
from node.farmer.calendar import Calendar
from node.messages import AgreementState
from payments.policy import ClaimPolicy, ClaimReason
from payments.types import Amount
from settlement.chain_events import Reason
from settlement.endpoint import Endpoint
from settlement.errors import ChainUnreachable
from settlement.local_chain import warp
from settlement.transactions import send_now
from tests.node.farmer.support import Renter, Rig, build, content, refusal, run

DATA = content(5_000)
AWAKE = Rhythm(follow=0.05, collect=0.1, sweep=0.1)


async def earn(renter: Renter, amount: int) -> None:
    await renter.pay(renter.voucher(amount))


async def balance(rig: Rig) -> int:
    return await rig.world.chain.token_balance(rig.config.payee)


async def until(amount: int, rig: Rig) -> None:
    async with asyncio.timeout(20):
        while await balance(rig) != amount:  # noqa: ASYNC110 - the chain raises no event here
            await asyncio.sleep(0.05)


def test_a_clock_that_differs_from_the_chain_ends_nothing(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        chain = rig.world.chain
        async with rig.renter() as renter:
            terms = await renter.store(DATA)

            def troubles() -> str:
                return " ".join(rig.farmer.trouble)

            def state() -> AgreementState:
                name = renter.name(terms)
                record = rig.farmer.farm.database.read(lambda conn: load_agreement(conn, name))
                assert record is not None
                return record.state

            chain.deployment = replace(chain.deployment, local=False)
            rig.clock.now += 40 * 86_400
            await rig.farmer.sweep()
            assert "ahead of the newest block" in troubles()
            assert state() is AgreementState.STORED
            rig.clock.now -= 40 * 86_400
            await rig.farmer.sweep()
            assert not troubles()
            assert state() is AgreementState.STORED
            await warp(chain.rpc, 40 * 86_400)
            await rig.farmer.follow()
            await rig.farmer.sweep()
            assert "behind the newest block" in troubles()
            rig.clock.now += 40 * 86_400
            await rig.farmer.sweep()
            assert state() is AgreementState.EXPIRED

    run(tmp_path, story)


def test_a_farmer_that_has_read_no_block_yet_ends_nothing(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        farm = rig.farmer.farm
        farm.chain.deployment = replace(farm.chain.deployment, local=False)
        calendar = Calendar(farm)
        assert not calendar.agrees(None)
        assert calendar.trouble is not None
        assert calendar.agrees(await farm.chain.head())
        assert calendar.trouble is None

    run(tmp_path, story)


def test_a_close_request_stops_the_channel_and_is_claimed_at_once(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            await earn(renter, 5_000)
            await rig.daemon.stop()
            rig.daemon = await build(rig, AWAKE).start()
            await asyncio.sleep(0.5)
            assert await balance(rig) == 0
            await renter.close()
            await until(5_000, rig)
            late = await refusal(renter.pay(renter.voucher(6_000)))
            assert (late.status, late.error) == (409, "CHANNEL_CLOSING")
            challenge = renter.challenge([terms])
            voucher = renter.conditional(challenge, 5_000 + terms.step)
            assert (await refusal(renter.audit(challenge, voucher))).error == "CHANNEL_CLOSING"
            assert (await refusal(renter.propose(await renter.agree(b"x")))).error == "NO_CHANNEL"
            await rig.farmer.follow()
            seen = await renter.see()
            assert (seen.serving, seen.claimed) == (False, 5_000)
            assert seen.closes_at

    run(tmp_path, story, claims=ClaimPolicy(min_amount=Amount(10**12)))


def test_a_close_request_while_the_farmer_was_away_is_claimed_after_its_start(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            await earn(renter, 5_000)
            await rig.daemon.stop()
            await renter.close()
            rig.daemon = await build(rig, AWAKE).start()
            await until(5_000, rig)

    run(tmp_path, story, claims=ClaimPolicy(min_amount=Amount(10**12)))


def test_a_payment_for_proven_work_is_taken_and_claimed_even_while_the_channel_closes(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            earned = await renter.pass_audit([terms], 0)
            await renter.close()
            await rig.farmer.follow()
            await rig.farmer.collect()
            assert await balance(rig) == 0
            (channel,) = (await rig.farmer.status()).channels
            assert channel.reason is ClaimReason.PROOF_TOO_DEAR
            await renter.pay(renter.voucher(earned))
            await until(earned, rig)

    run(tmp_path, story, gas_price=Amount(10**18))


def test_a_close_request_is_answered_with_the_proof_of_what_is_unpaid(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            earned = await renter.pass_audit([terms], await renter.pass_audit([terms], 0))
            gas_key, rig.gas_key = rig.gas_key, None
            await rig.restart()  # all it needs is in the books
            await renter.close()
            await rig.farmer.follow()
            (channel,) = (await rig.farmer.status()).channels
            assert (channel.paid, channel.proven, channel.claimable) == (terms.step, terms.step, earned)
            assert (channel.claim, channel.with_proof) == (True, True)
            assert channel.reason is ClaimReason.CLOSE_REQUESTED
            assert "is unpaid and goes with its proof" in channel.why
            rig.gas_key = gas_key
            await rig.restart()
            (outcome,) = await rig.farmer.collect()
            assert outcome.claimed == earned == await balance(rig) == 2 * terms.step
            await check_paid_out(rig, earned)

    run(tmp_path, story)


async def check_paid_out(rig: Rig, earned: int) -> None:
    """The books agree with the chain: nothing is unpaid, nothing is left to claim."""
    status = await rig.farmer.status()
    (channel,) = status.channels
    assert (channel.claimed, channel.paid, channel.proven, channel.claimable) == (earned, earned, 0, 0)
    assert (status.earned, status.claimed, status.claimable) == (earned, earned, 0)
    assert channel.reason is ClaimReason.NOTHING_TO_CLAIM
    assert await rig.farmer.collect(everything=True) == ()


def test_work_unpaid_beyond_its_grace_is_claimed_with_its_proof(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            earned = await renter.pass_audit([terms], 0)
            rig.clock.now += terms.grace - 1
            assert await rig.farmer.collect(everything=True) == ()
            (channel,) = (await rig.farmer.status()).channels
            assert (channel.reason, channel.when) == (ClaimReason.NOTHING_TO_CLAIM, rig.clock.now + 1)
            assert (channel.claimable, channel.proven) == (0, earned)
            rig.clock.now += 1
            (channel,) = (await rig.farmer.status()).channels
            assert (channel.reason, channel.claimable) == (ClaimReason.RENTER_DEFAULTS, earned)
            (outcome,) = await rig.farmer.collect()
            assert outcome.claimed == earned == await balance(rig)
            await check_paid_out(rig, earned)
            again = await renter.pass_audit([terms], earned)  # who comes back may go on
            assert again == 2 * terms.step

    run(tmp_path, story, gas_price=Amount(1), max_intervals=30)


def test_work_of_a_renter_that_owes_too_much_is_claimed_with_its_proof(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            earned = await renter.pass_audit([terms], 0)
            rig.farmer.reconfigure(replace(rig.config, max_exposure=Amount(terms.step * 2)))
            rig.clock.now += 2 * 86_400
            await rig.farmer.sweep()
            (channel,) = (await rig.farmer.status()).channels
            assert channel.reason is ClaimReason.RENTER_DEFAULTS
            (outcome,) = await rig.farmer.collect()
            assert outcome.claimed == earned == await balance(rig)

    run(tmp_path, story, gas_price=Amount(1))


def test_a_proof_too_dear_for_its_step_waits(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            await renter.pass_audit([terms], 0)
            rig.clock.now += terms.grace
            (channel,) = (await rig.farmer.status()).channels
            assert (channel.claim, channel.reason) == (False, ClaimReason.PROOF_TOO_DEAR)
            assert "was not paid, but its proof would cost about" in channel.why
            assert await rig.farmer.collect(everything=True) == ()

    run(tmp_path, story, gas_price=Amount(10**18))


def test_a_proof_the_contract_refuses_does_not_keep_what_is_paid_from_being_claimed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            await renter.pass_audit([terms], await renter.pass_audit([terms], 0))
            await spoil_proof(rig, renter)
            await renter.close()
            await rig.farmer.follow()
            await until(terms.step, rig)
            assert f"reason={Reason.BAD_SIGNATURE.name}" in caplog.text

    run(tmp_path, story)


async def spoil_proof(rig: Rig, renter: Renter) -> None:
    """Turn a bit of the proof in the farmer's books."""

    def step(conn: Connection) -> None:
        held = load_held(conn, renter.channel)
        assert held is not None
        (part,) = held.proof.items
        leaf = bytes((part.leaves[0][0] ^ 1,)) + part.leaves[0][1:]
        save_held(conn, renter.channel, replace(held, proof=Proof((replace(part, leaves=(leaf,)),))))

    await rig.farmer.farm.database.write(step)


def test_claims_wait_for_the_minimum_and_say_so(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            await earn(renter, 999)
            assert await rig.farmer.collect() == ()
            (channel,) = (await rig.farmer.status()).channels
            assert (channel.claim, channel.reason) == (False, ClaimReason.BELOW_MINIMUM)
            assert channel.claimable == 999
            assert channel.when == rig.clock.now + 7 * 86_400
            assert "999 is below the minimum of 1000" in channel.why
            rig.clock.now += 7 * 86_400
            (outcome,) = await rig.farmer.collect()
            assert (outcome.claimed, await balance(rig)) == (999, 999)
            (channel,) = (await rig.farmer.status()).channels
            assert channel.reason is ClaimReason.NOTHING_TO_CLAIM

    run(tmp_path, story, claims=ClaimPolicy(min_amount=Amount(1_000)))


def test_claims_wait_while_the_fee_eats_them(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            await earn(renter, 10_000)
            assert await rig.farmer.collect() == ()
            (channel,) = (await rig.farmer.status()).channels
            assert channel.reason is ClaimReason.FEE_TOO_HIGH
            assert await rig.farmer.collect(everything=True)
            assert await balance(rig) == 10_000

    run(tmp_path, story, gas_price=Amount(10**18))


def test_channels_of_many_renters_are_claimed_in_one_transaction(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as first, rig.renter() as second, rig.renter() as third:
            for renter, amount in ((first, 100), (second, 200), (third, 300)):
                await earn(renter, amount)
            outcomes = await rig.farmer.collect()
            assert sorted(outcome.claimed or 0 for outcome in outcomes) == [100, 200, 300]
            assert len({outcome.transaction for outcome in outcomes}) == 1
            assert await balance(rig) == 600

    run(tmp_path, story)


def test_what_is_pushed_counts_as_paid(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            earned = await renter.pass_audit([terms], 0)
            chain = rig.world.chain
            rows = [(rig.config.payee, Amount(earned))]
            await rig.world.send(
                chain.calls.push(renter.signer.address, renter.terms.challenge_period, renter.salt, rows)
            )
            await rig.farmer.follow()
            seen = await renter.see()
            assert (seen.claimed, seen.proven) == (earned, None)
            assert await renter.pass_audit([terms], earned) == 2 * earned
            assert await rig.farmer.collect(everything=True) == ()

    run(tmp_path, story)


def test_without_gas_money_the_claim_waits_and_the_status_says_why(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        rpc = rig.world.chain.rpc
        async with rig.renter() as renter:
            await earn(renter, 700)
            rig.gas_key = renter.signer
            await rig.restart()
            assert await rig.farmer.collect() == ()
            status = await rig.farmer.status()
            assert status.gas is not None
            assert (status.gas.balance, status.gas.claims) == (0, 0)
            assert "send it gas money" in status.trouble[0]
            assert status.channels[0].why.startswith("Due to be claimed")
            assert status.channels[0].why.endswith("The gas key cannot pay for it: send it gas money.")
            await send_now(rpc, rig.world.payer, renter.signer.address, value=10**18)
            (outcome,) = await rig.farmer.collect()
            assert outcome.claimed == 700 == await balance(rig)
            after = await rig.farmer.status()
            assert after.trouble == ()
            assert "gas" not in after.channels[0].why

    run(tmp_path, story)


def test_without_a_gas_key_the_status_says_so(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        rig.gas_key = None
        await rig.restart()
        async with rig.renter() as renter:
            await earn(renter, 700)
            assert await rig.farmer.collect() == ()
            status = await rig.farmer.status()
            assert (status.gas, status.claimable) == (None, 700)
            assert status.trouble == ("no gas key is unlocked: nothing can be claimed",)

    run(tmp_path, story)


def test_unpaid_shards_are_deleted_after_the_grace_and_not_before(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter, rig.renter() as payer:
            terms, kept = await renter.store(DATA), await payer.store(DATA)
            rig.farmer.reconfigure(replace(rig.config, max_exposure=Amount(terms.step * 2)))
            rig.clock.now += 3 * 86_400
            await payer.pay(payer.voucher(10**16))
            await rig.farmer.sweep()
            (debtor,) = [one for one in (await rig.farmer.status()).renters if one.over_since]
            assert (debtor.renter, debtor.over_since) == (renter.key.node, rig.clock.now)
            rig.clock.now += terms.grace - 1
            await rig.farmer.sweep()
            assert (await renter.agreement(terms)).state is AgreementState.STORED
            rig.clock.now += 1
            await rig.farmer.sweep()
            assert (await renter.agreement(terms)).state is AgreementState.DELETED
            assert (await payer.agreement(kept)).state is AgreementState.STORED
            assert list(rig.farmer.farm.store.shards()) == [payer.name(kept)]

    run(tmp_path, story)


def test_paying_within_the_grace_saves_the_shards(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            rig.farmer.reconfigure(replace(rig.config, max_exposure=Amount(terms.step * 2)))
            rig.clock.now += 3 * 86_400
            await rig.farmer.sweep()
            await renter.pay(renter.voucher(terms.step * 30))
            await rig.farmer.sweep()
            rig.clock.now += terms.grace
            await rig.farmer.sweep()
            assert (await renter.agreement(terms)).state is AgreementState.STORED
            assert all(one.over_since is None for one in (await rig.farmer.status()).renters)

    run(tmp_path, story)


def test_after_the_withdrawal_the_channel_is_spent(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            await earn(renter, 5_000)
            await renter.close()
            await rig.farmer.follow()
            await rig.farmer.collect()
            chain = rig.world.chain
            await warp(chain.rpc, 120)
            await rig.world.send(
                chain.calls.withdraw(
                    renter.signer.address, renter.terms.challenge_period, renter.salt, [rig.config.payee]
                )
            )
            await rig.farmer.follow()
            (channel,) = (await rig.farmer.status()).channels
            assert (channel.reason, channel.claimed) == (ClaimReason.CLOSED, 5_000)

    run(tmp_path, story)


def test_a_chain_that_goes_away_is_trouble_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            await earn(renter, 500)
            with monkeypatch.context() as patch:

                async def gone(*_: object) -> None:
                    raise ChainUnreachable("http://127.0.0.1:1", "connection refused")

                patch.setattr(Endpoint, "request", gone)
                await rig.farmer.follow()
                assert await rig.farmer.collect() == ()
                await earn(renter, 600)
                trouble = rig.farmer.trouble
                assert "check the URL or start the chain" in trouble[0]
            await rig.farmer.follow()
            (outcome,) = await rig.farmer.collect()
            assert outcome.claimed == 600
            assert rig.farmer.trouble == ()

    run(tmp_path, story)
