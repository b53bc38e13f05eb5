"""Funding by signature, in one transaction each: ERC-2612, EIP-3009, Permit2. Nobody can redirect it."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from eth_abi.abi import decode

from payments.eip712 import keccak
from payments.funding import (
    PERMIT2,
    Authorization,
    Funding,
    Permit,
    WitnessedTransfer,
    funding_digest,
    sign_authorization,
    sign_permit,
    sign_transfer,
)
from payments.types import Address, Amount
from payments.vouchers import SigningKey, channel_id
from settlement.calls import Call
from settlement.chain_events import row
from settlement.client import Chain
from settlement.database import Database
from settlement.errors import Reverted
from settlement.local_chain import LocalChain
from settlement.outbox import Outbox
from settlement.reverts import NothingToFund
from settlement.tables import TABLES
from settlement.transactions import send_now
from tests.contracts.compiler import compile_support
from tests.settlement.conftest import Endpoint
from tests.settlement.support import PERIOD, World, payee, run, world

ALICE, BOB = payee(1), payee(2)
LATER = 2**40
TARGETS = ((ALICE, 70), (BOB, 30))


async def create(w: World, name: str) -> Address:
    code = bytes.fromhex(compile_support()[name]["bytecode"].removeprefix("0x"))
    made = await send_now(w.chain.rpc, w.payer, None, code)
    assert made.contract is not None
    return made.contract


async def make_token(w: World) -> World:
    """Let the world's token be one with EIP-3009; the payer holds all of it."""
    token = await create(w, "AuthorizedToken")
    return replace(w, chain=Chain(w.chain.rpc, replace(w.chain.deployment, token=token)))


def order(w: World, targets: Sequence[tuple[Address, int]] = TARGETS) -> Funding:
    rows = tuple(row(who, Amount(target)) for who, target in targets)
    token = w.chain.deployment.token
    return Funding(w.payer.address, w.signer.address, token, PERIOD, w.salt, rows)


async def separator(w: World) -> bytes:
    found = await w.chain.token_separator()
    assert found is not None
    return found


async def permitted(w: World, *, value: int = 100, key: SigningKey | None = None) -> Call:
    state = await w.chain.permit_state(w.payer.address)
    assert state is not None
    permit = Permit(w.payer.address, w.chain.deployment.contract, value, state.nonce, LATER)
    return w.chain.calls.fund_with_permit(
        order(w), permit, sign_permit(state.separator, permit, key or w.payer)
    )


async def authorized(w: World, funding: Funding, signed: Funding, *, value: int = 100) -> Call:
    """Call for `funding` with the authorization of `signed`."""
    nonce = funding_digest(w.chain.domain, signed)
    it = Authorization(w.payer.address, w.chain.deployment.contract, value, 0, LATER, nonce)
    return w.chain.calls.fund_with_authorization(
        funding, it, sign_authorization(await separator(w), it, w.payer)
    )


def witnessed(w: World, funding: Funding, signed: Funding, *, amount: int = 100, nonce: int = 7) -> Call:
    """Call for `funding` with the Permit2 transfer of `signed`."""
    it = WitnessedTransfer(funding.token, amount, w.chain.deployment.contract, nonce, LATER, signed)
    signature = sign_transfer(w.chain.domain.chain_id, it, w.payer)
    return w.chain.calls.fund_with_permit2(replace(it, funding=funding), signature)


async def deposits(w: World) -> list[int]:
    terms = [replace(w.terms(who), token=w.chain.deployment.token) for who, _ in TARGETS]
    states = await w.chain.channel_states([channel_id(w.chain.domain, one) for one in terms])
    return [state.deposit for state in states]


def test_what_a_token_lets_owners_sign_is_found_out(endpoint: Endpoint) -> None:
    async def story() -> None:
        async with world(endpoint()) as w:
            assert await w.chain.permit_state(w.payer.address) is not None
            for name in ("AuthorizedToken", "BlocklistToken", "FallbackToken"):
                token = await create(w, name)
                signs = name == "AuthorizedToken"
                assert (await w.chain.permit_state(w.payer.address, token) is not None) is signs
                assert (await w.chain.token_separator(token) is not None) is signs

    run(story())


def test_a_permit_funds_in_one_transaction(endpoint: Endpoint) -> None:
    async def story() -> None:
        async with world(endpoint(), allowance=0) as w:
            await w.send(await permitted(w))
            assert await deposits(w) == [70, 30]
            assert await w.chain.allowance(w.payer.address) == 0

    run(story())


def test_trial_tells_the_gas_that_must_be_there_though_some_is_given_back(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    """An allowance that is made and used up in one transaction gives most of its gas back."""

    async def story(database: Database) -> None:
        async with world(endpoint(), allowance=7) as w:
            outbox, payer = Outbox(database, w.chain), w.payer.address
            for call in (
                w.chain.calls.approve(0),
                await permitted(w),
                w.chain.calls.approve(9),
                w.chain.calls.approve(0),
            ):
                trial = await w.chain.simulate(call, payer)
                receipt = await outbox.wait(await outbox.submit("trial", call, w.payer))
                assert receipt.gas_used <= trial

    with closing(Database.at(tmp_path / "outbox.db", TABLES)) as database:
        run(story(database))


def test_a_bad_permit_is_ignored_and_the_allowance_decides(endpoint: Endpoint) -> None:
    async def story() -> None:
        async with world(endpoint(), allowance=0) as w:
            with pytest.raises(Reverted):
                await w.send(await permitted(w, key=w.stranger))
            with pytest.raises(Reverted):
                await w.send(await permitted(w, value=99))
            await w.send(w.chain.calls.approve(100))
            await w.send(await permitted(w, key=w.stranger))
            assert await deposits(w) == [70, 30]

    run(story())


def test_an_authorization_funds_by_anybodys_transaction(endpoint: Endpoint) -> None:
    async def story() -> None:
        async with world(endpoint()) as plain:
            w = await make_token(plain)
            funding = order(w)
            call = await authorized(w, funding, funding)
            await w.send(call, w.stranger)
            assert await deposits(w) == [70, 30]
            with pytest.raises(NothingToFund):
                await w.send(call, w.stranger)

    run(story())


def test_an_authorization_pays_for_nothing_else(endpoint: Endpoint) -> None:
    async def story() -> None:
        async with world(endpoint()) as plain:
            w = await make_token(plain)
            mine, other = order(w), order(w, ((BOB, 70), (ALICE, 30)))
            for call in (
                await authorized(w, other, mine),
                await authorized(w, replace(mine, signer=w.stranger.address), mine),
                await authorized(w, mine, mine, value=101),
            ):
                with pytest.raises(Reverted):
                    await w.send(call, w.stranger)
            assert await deposits(w) == [0, 0]

    run(story())


async def install_permit2(w: World) -> None:
    """Put Permit2's own code at its address, and let it take the payer's tokens, as wallets do."""
    teller = await create(w, "Permit2Code")
    (code,) = decode(["bytes"], await w.chain.rpc.call(teller, keccak(b"runtime()")[:4]))
    await w.chain.rpc.request("anvil_setCode", PERMIT2, code)
    approval = w.chain.calls.approve(10**24).data.replace(w.chain.deployment.contract, PERMIT2)
    await w.send(Call(w.chain.deployment.token, approval))


def test_permit2_funds_by_anybodys_transaction(anvil: LocalChain) -> None:
    async def story() -> None:
        async with world(anvil.url, allowance=0) as w:
            await install_permit2(w)
            funding = order(w)
            await w.send(witnessed(w, funding, funding, amount=500), w.stranger)
            assert await deposits(w) == [70, 30]
            more = order(w, ((ALICE, 80),))
            with pytest.raises(Reverted):  # its nonce is spent
                await w.send(witnessed(w, more, more), w.stranger)
            await w.send(witnessed(w, more, more, nonce=6), w.stranger)
            assert await deposits(w) == [80, 30]

    run(story())


def test_permit2_pays_for_nothing_else(anvil: LocalChain) -> None:
    async def story() -> None:
        async with world(anvil.url, allowance=0) as w:
            await install_permit2(w)
            mine, other = order(w), order(w, ((BOB, 70), (ALICE, 30)))
            for call in (
                witnessed(w, other, mine),
                witnessed(w, replace(mine, salt=bytes(32)), mine),
                witnessed(w, mine, mine, amount=99),
            ):
                with pytest.raises(Reverted):
                    await w.send(call, w.stranger)
            assert await deposits(w) == [0, 0]

    run(story())
