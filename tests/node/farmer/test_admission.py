"""A farmer takes vouchers only from channels that pass every check, at one pinned block."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.api.limits import Limits
from node.db import Connection
from node.db.farmer import list_books
from node.farmer import admission
from node.messages import ChannelView
from payments.channel import Status
from payments.types import Address, ChannelId, Seconds
from settlement.local_chain import ChainKind, LocalChain, mine
from settlement.tables import load_channel, save_channel
from settlement.watcher_store import save_hashes
from tests.node.farmer.support import DEPOSIT, Renter, Rig, farming, refusal, run
from tests.settlement.support import reorganise

SAFE_BLOCKS = 32
"""So far Anvil's safe block lies behind its newest."""


def test_a_channel_is_accepted_once_and_seen_again(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            first = await renter.see()
            assert await renter.open() == first == await renter.see()
            assert (first.claimed, first.closes_at, first.proven) == (0, None, None)
            await renter.fund(3 * 10**18)
            assert (await renter.open()).deposit == 3 * 10**18

    run(tmp_path, story)


def test_a_deposit_counts_when_the_chain_calls_it_final(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        chain = rig.world.chain
        chain.deployment = replace(chain.deployment, finality="safe")
        await chain.rpc.request("anvil_mine", SAFE_BLOCKS)  # the contract is older
        async with rig.renter(opened=False) as renter:
            assert (await refusal(renter.open())).error == "DEPOSIT_TOO_LOW"
            await chain.rpc.request("anvil_mine", SAFE_BLOCKS)
            assert (await renter.open()).serving

    with LocalChain.start(ChainKind.ANVIL, block_time=0) as anvil:
        run(tmp_path, story, endpoint=anvil.url)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"payee": Address(b"x" * 20)}, "WRONG_PAYEE"),
        ({"token": Address(b"x" * 20)}, "TOKEN_NOT_ACCEPTED"),
        ({"challenge_period": Seconds(59)}, "CHALLENGE_PERIOD_OUT_OF_BOUNDS"),
        ({"challenge_period": Seconds(2**31)}, "CHALLENGE_PERIOD_OUT_OF_BOUNDS"),
        ({"signer": Address(b"x" * 20)}, "WRONG_NODE_KEY_SIGNATURE"),
        ({"salt": bytes(32)}, "DEPOSIT_TOO_LOW"),
        ({"payer": Address(b"x" * 20)}, "DEPOSIT_TOO_LOW"),
    ],
)
def test_terms_that_do_not_fit_are_refused(tmp_path: Path, change: dict[str, Any], error: str) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter(opened=False) as renter:
            renter.terms = replace(renter.terms, **change)
            refused = await refusal(renter.open())
            assert (refused.status, refused.error) == (422, error)
            assert (await refusal(renter.see())).error == "UNKNOWN_CHANNEL"

    run(tmp_path, story)


def test_a_deposit_below_the_minimum_is_refused_with_both_values(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter(10**15 - 1, opened=False) as renter:
            refused = await refusal(renter.open())
            assert refused.error == "DEPOSIT_TOO_LOW"
            assert refused.values == {"deposit": 10**15 - 1, "minimum": 10**15}
            await renter.fund(10**15)
            assert (await renter.open()).serving

    run(tmp_path, story)


def test_a_deposit_that_a_reorganisation_takes_back_before_it_was_followed_counts_no_more(
    tmp_path: Path,
) -> None:
    async def story(rig: Rig) -> None:
        chain, farm = rig.world.chain, rig.farmer.farm
        await rig.farmer.follow()
        before = (await chain.head()).number
        async with rig.renter(opened=False) as renter:
            assert (await renter.open()).serving  # in a block that the watcher has not met
            await reorganise(chain.rpc, (await chain.head()).number - before)
            await rig.farmer.follow()
            assert not (await renter.see()).serving
            known = farm.database.read(lambda conn: load_channel(conn, renter.channel))
            assert known is not None
            assert known.deposit == 0
            assert (await refusal(renter.pay(renter.voucher(5)))).error == "ABOVE_DEPOSIT"
            await renter.fund(DEPOSIT)
            await rig.farmer.follow()
            assert (await renter.pay(renter.voucher(5))).serving

    with LocalChain.start(ChainKind.ANVIL, block_time=0) as anvil:
        run(tmp_path, story, endpoint=anvil.url)


def test_a_block_that_the_watcher_met_otherwise_admits_no_channel(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter(opened=False) as renter:
            number = (await rig.world.chain.head()).number
            farm = rig.farmer.farm
            await farm.database.write(lambda conn: save_hashes(conn, {number: b"other" + bytes(27)}, 0))
            refused = await refusal(renter.open())
            assert refused.error == "REORGANISED"
            assert (await refusal(renter.see())).error == "UNKNOWN_CHANNEL"

    run(tmp_path, story)


def test_a_closing_channel_is_refused(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter(opened=False) as renter:
            await renter.close()
            refused = await refusal(renter.open())
            assert (refused.status, refused.error) == (409, "CHANNEL_NOT_OPEN")

    run(tmp_path, story)


def test_a_deposit_counts_only_at_confirmation_depth(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter(opened=False) as renter:
            assert (await refusal(renter.open())).error == "DEPOSIT_TOO_LOW"
            await mine(rig.world.chain.rpc, 2)
            assert (await renter.open()).serving

    run(tmp_path, story, confirmations=3)


def test_a_close_request_counts_at_first_sight(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter(opened=False) as renter:
            await mine(rig.world.chain.rpc, 3)
            await renter.close()
            assert (await refusal(renter.open())).error == "CHANNEL_NOT_OPEN"

    run(tmp_path, story, confirmations=3)


def test_a_node_has_only_so_many_channels_that_are_not_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "MAX_CHANNELS", 2)

    async def open_next(renter: Renter) -> ChannelView:
        life = 1 + int.from_bytes(renter.terms.salt[-4:])
        renter.salt = life.to_bytes(32)
        renter.terms = replace(renter.terms, salt=renter.salt)
        renter.rig.clock.now += 1
        await renter.fund(DEPOSIT)
        return await renter.open()

    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            await open_next(renter)
            refused = await refusal(open_next(renter))
            assert (refused.error, refused.values) == ("TOO_MANY_CHANNELS", {"limit": 2})
            await renter.fund(2 * DEPOSIT)
            farm, node = rig.farmer.farm, renter.key.node
            counted = farm.database.read(lambda conn: list_books(conn, node))
            await farm.database.write(lambda conn: close(conn, [book.channel_id for book in counted]))
            first = await open_next(renter)
            await farm.database.write(lambda conn: close(conn, [ChannelId(first.channel_id)]))
            second = await open_next(renter)
            counting = {book.channel_id for book in farm.database.read(lambda conn: list_books(conn, node))}
            assert len(counting) == 3
            assert {first.channel_id, second.channel_id} < counting
            assert len(farm.database.read(list_books)) == 4
            assert (await renter.pay(renter.voucher(5))).serving

    run(tmp_path, story)


def close(conn: Connection, channels: list[ChannelId]) -> None:
    for name in channels:
        known = load_channel(conn, name)
        assert known is not None
        save_channel(conn, replace(known, status=Status.CLOSED))


def test_a_channel_stays_with_the_node_that_brought_it(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter, rig.renter(deposit=0, opened=False) as thief:
            thief.signer, thief.terms = renter.signer, renter.terms
            assert (await refusal(thief.open())).error == "NODE_OF_ANOTHER"
            assert (await refusal(thief.see())).error == "UNKNOWN_CHANNEL"
            assert (await refusal(thief.pay(renter.voucher(5)))).error == "UNKNOWN_CHANNEL"

    run(tmp_path, story)


def test_a_chain_that_is_gone_is_the_farmers_trouble_not_the_renters(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter(opened=False) as renter:
            record = rig.world.chain.deployment
            rig.world.chain.deployment = replace(record, genesis_hash=bytes(32))
            refused = await refusal(renter.open())
            assert (refused.status, refused.error) == (503, "WRONG_GENESIS")
            assert "0x" not in refused.message
            rig.world.chain.deployment = record
            assert (await renter.open()).serving

    run(tmp_path, story)


@pytest.mark.parametrize(("code", "accepted"), [("ef0100" + "11" * 20, True), ("6000", False)])
def test_a_signer_may_be_delegated_but_no_contract(tmp_path: Path, code: str, accepted: bool) -> None:
    async def story(url: str) -> None:
        async with farming(tmp_path, endpoint=url) as rig:
            rpc = rig.world.chain.rpc
            async with rig.renter(opened=False) as renter:
                await rpc.request("anvil_setCode", renter.signer.address, "0x" + code)
                if accepted:
                    assert (await renter.open()).serving
                    await renter.pay(renter.voucher(700))
                    (outcome,) = await rig.farmer.collect()  # its key still signs, on the chain too
                    assert outcome.claimed == 700
                else:
                    assert (await refusal(renter.open())).error == "CONTRACT_SIGNER"

    with LocalChain.start(ChainKind.ANVIL, block_time=0.1) as anvil:
        asyncio.run(story(anvil.url))


def test_a_second_channel_of_a_renter_does_not_reset_its_storage_clock(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            await renter.store(b"x" * 500_000)
            rig.clock.now += 86_400
            before = (await renter.see()).exposure
            assert before > 0
            async with rig.renter(key=renter.key) as other:
                assert (await other.see()).exposure == before == (await renter.see()).exposure
                assert (await other.pay(other.voucher(before))).exposure == 0
                assert (await renter.see()).exposure == 0

    run(tmp_path, story)


def test_strangers_cannot_keep_the_chain_busy(tmp_path: Path) -> None:
    """Keys cost nothing: those who present channels that do not exist must not crowd out those who pay."""

    async def story(rig: Rig) -> None:
        looking, let_go = asyncio.Event(), asyncio.Event()
        async with rig.renter() as known, rig.renter(0, opened=False) as first, rig.renter() as second:
            chain = rig.farmer.farm.chain
            verify = chain.verify

            async def slow() -> None:
                looking.set()
                await let_go.wait()
                await verify()

            chain.verify = slow  # type: ignore[method-assign]
            waiting = asyncio.create_task(refusal(first.open()))
            await looking.wait()
            async with rig.renter(0, opened=False) as third:
                refused = await refusal(third.open())
                assert (refused.status, refused.error) == (503, "BUSY")
            again = asyncio.create_task(known.open())
            await asyncio.sleep(0.05)
            let_go.set()
            assert (await again).serving
            assert (await waiting).error == "DEPOSIT_TOO_LOW"
            assert (await second.open()).serving

    run(tmp_path, story, limits=Limits(max_introductions=1))
