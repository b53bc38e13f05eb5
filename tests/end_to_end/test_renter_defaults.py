"""A renter that takes the proof and keeps the money, on a real Anvil: work makes the voucher good."""

import asyncio
import hashlib
import signal
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from payments.types import Address, Amount, ChannelId, Seconds
from payments.vouchers import SignedVoucher, Terms, Voucher
from settlement.calls import Claim
from settlement.chain_events import Reason
from settlement.claims import plan_claims, send_claims
from settlement.database import Database
from settlement.local_chain import dev_keys, warp
from settlement.outbox import Outbox
from settlement.tables import TABLES as CHAIN_TABLES
from tests.end_to_end.relay import Moment
from tests.end_to_end.renter_child import SEGMENT, OpenRenter
from tests.end_to_end.village import DEPOSIT, PATIENCE, Farmer, Village, build_village, check_all, run, until

VOUCHER = b"POST /v1/vouchers"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(hashlib.shake_256(b"harvest").digest(SEGMENT))
    return path


async def take_proofs(village: Village) -> None:
    """Let the renter audit everybody, and end it the moment that it would pay for what it was shown."""
    process = village.child("audit", "1")

    async def kill() -> None:
        process.kill()
        await asyncio.to_thread(process.wait)

    for farmer in village.farmers:
        farmer.relay.set_trap(VOUCHER, Moment.ASKED, kill)
    try:
        ended = await asyncio.to_thread(process.wait, PATIENCE)
        assert ended == -signal.SIGKILL, village.last_words()
    finally:
        await kill()


async def request_close(opened: OpenRenter) -> None:
    """Close every channel without paying first."""
    exits = opened.renter.exits
    await exits.send(await exits.plan_close(info.channel.id for info in opened.renter.channels.list()))


async def take_rest(village: Village, opened: OpenRenter) -> int:
    """Withdraw when the challenge period is over; what came back."""
    exits = opened.renter.exits
    before = await village.balance(dev_keys(1)[0].address)
    await warp(village.chain.rpc, village.chain.deployment.challenge_period + 1)
    await exits.send(await exits.plan_withdraw(info.channel.id for info in opened.renter.channels.list()))
    return await village.balance(dev_keys(1)[0].address) - before


async def is_settled(farmer: Farmer, total: int) -> bool:
    """Whether the farmer's books say that all of it was claimed, and nothing is unpaid."""
    status = await farmer.status()
    (channel,) = status.channels
    return (channel.claimed, channel.proven, channel.claimable) == (total, 0, 0)


def test_who_takes_the_proof_and_closes_pays_for_it_before_the_withdrawal(
    tmp_path: Path, source: Path
) -> None:
    async def story() -> None:
        async with build_village(tmp_path, 1) as village:
            (farmer,) = village.farmers
            async with village.open_renter() as opened:
                await opened.put(source, "harvest", k=1, n=1)
                await opened.renter.audits.audit()
            await take_proofs(village)
            held = farmer.evidence()
            assert 0 < held.paid < held.proven
            await farmer.kill()  # what it needs is on its disk
            await farmer.start()
            async with village.open_renter() as opened:
                check_all(opened, village.farmers)
                await request_close(opened)
                await until(lambda: is_settled(farmer, held.proven))  # by itself
                assert await village.balance(farmer.payee) == held.proven
                assert await take_rest(village, opened) == DEPOSIT - held.proven
            assert await village.balance(farmer.payee) == held.proven

    run(story())


def test_who_stays_away_with_proven_work_unpaid_is_claimed_against(tmp_path: Path, source: Path) -> None:
    """The owner says what gas is worth, and a grace of no time: the renter is in default at once."""

    async def story() -> None:
        async with build_village(tmp_path, 1) as village:
            (farmer,) = village.farmers
            await farmer.kill()
            farmer.set_rules(grace=0, gas_price=10**15)
            await farmer.start()
            async with village.open_renter() as opened:
                await opened.renter.peers.add(farmer.relay.url)
                await opened.put(source, "harvest", k=1, n=1)
            await take_proofs(village)
            held = farmer.evidence()
            assert held.paid == 0 < held.proven
            await until(lambda: is_settled(farmer, held.proven))
            assert await village.balance(farmer.payee) == held.proven
            async with village.open_renter() as opened:  # and may come back
                await opened.renter.channels.refresh()
                await opened.renter.audits.audit()
                (side,) = check_all(opened, village.farmers).values()
                assert side.claimed == held.proven < side.delivered == side.earned

    run(story())


def test_a_tampered_proof_gets_nothing_while_the_rest_of_the_sweep_is_paid(
    tmp_path: Path, source: Path
) -> None:
    """The farmers are dead; a watchtower holds their backups, one of them forged."""

    async def story() -> None:
        async with build_village(tmp_path, 3) as village:
            async with village.open_renter() as opened:
                await opened.put(source, "harvest", k=2, n=3)
            await take_proofs(village)
            held = [farmer.evidence() for farmer in village.farmers]
            for farmer in village.farmers:
                await farmer.kill()
            honest, rogue, other = [await copy_claim(farmer) for farmer in village.farmers]
            forged = replace(rogue, proof=rogue.proof[:500] + bytes(32) + rogue.proof[532:])
            reasons = await sweep(village, tmp_path, [honest, forged, other])
            assert reasons == {honest: Reason.NONE, forged: Reason.BAD_PROOF, other: Reason.NONE}
            balances = [await village.balance(farmer.payee) for farmer in village.farmers]
            assert balances == [held[0].proven, 0, held[2].proven]

    run(story())


async def copy_claim(farmer: Farmer) -> Claim:
    """Read a farmer's newest proven voucher and its proof from its backup."""
    (row,) = (await farmer.tithe("farm", "vouchers"))["vouchers"]
    given, proven = row["terms"], row["proven"]
    payer, signer, payee, token = (
        Address(unhex(given[name])) for name in ("payer", "signer", "payee", "token")
    )
    terms = Terms(
        payer,
        signer,
        payee,
        token,
        challenge_period=Seconds(given["challenge_period"]),
        salt=unhex(given["salt"]),
    )
    promise = Voucher(
        ChannelId(unhex(row["channel_id"])),
        Amount(int(proven["cumulative_amount"])),
        unhex(proven["condition"]),
    )
    return Claim(terms, SignedVoucher(promise, unhex(proven["signature"])), unhex(proven["proof"]))


def unhex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


async def sweep(village: Village, folder: Path, claims: Sequence[Claim]) -> dict[Claim, Reason]:
    """Claim all of it in one transaction."""
    key = dev_keys(2)[1]
    with closing(Database.at(folder / "tower.db", CHAIN_TABLES)) as database:
        plan = await plan_claims(village.chain, claims, key.address)
        assert len(plan.batches) == 1
        outcomes = await send_claims(village.chain, Outbox(database, village.chain), plan, key)
    told = {one.channel_id: one.reason for one in outcomes}
    return {claim: told[claim.voucher.voucher.channel_id] for claim in claims}
