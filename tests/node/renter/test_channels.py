"""Channels with real farmers on a real chain: planned, funded, topped up, presented, paid, left."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from node.audit import Outcome
from node.cli.channel_exits import tell_sent
from node.cli.errors import NotDone
from node.renter import targets
from node.renter.errors import (
    NoQuote,
    NothingToDo,
    PayerMissing,
    TokensMissing,
    UnknownChannel,
    UnknownPeer,
    WithdrawalNotOpen,
)
from node.tasks import end
from payments.channel import Status
from payments.types import Address, Amount, ChannelId, NodeId, Seconds
from payments.vouchers import channel_salt
from settlement.chain_events import Reason
from settlement.client import Chain, TokenInfo
from settlement.local_chain import ChainKind, LocalChain, mine, warp
from settlement.outbox_store import Phase, add_wish, list_open
from settlement.transactions import send_now
from tests.contracts.compiler import compile_support
from tests.node.renter.support import INTERVAL, Village, content, tell

DAY = 86_400
TOKEN = TokenInfo(Address(bytes(20)), "TITHE", 18)


def lose(folder: Path) -> None:
    """Lose the renter's database."""
    for path in folder.glob("renter.db*"):
        path.unlink()


def test_one_transaction_opens_channels_to_all_farmers(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.meet()
        before = await place.world.chain.token_balance(place.keys.payer)
        plan = await place.renter.funding.plan(seconds=Seconds(30 * DAY), stored_bytes=10**9)
        assert {row.farmer for row in plan.rows} == {farmer.node for farmer in place.farmers}
        assert len(plan.calls) == 1
        assert plan.total == sum(row.target for row in plan.rows)
        assert 0 < plan.storage_cost < plan.total
        assert plan.gas > 0
        assert plan.gas_cost > 0
        sent = await place.renter.funding.fund(plan)
        assert len(sent.receipts) == 1
        assert sent.gas <= plan.gas * 6 // 5
        assert await place.world.chain.token_balance(place.keys.payer) == before - plan.total
        infos = place.renter.channels.list()
        assert [info.channel.status for info in infos] == [Status.FUNDED] * 3
        assert {info.channel.deposit for info in infos} == {row.target for row in plan.rows}
        with pytest.raises(NothingToDo):
            await place.renter.funding.plan(seconds=Seconds(30 * DAY), stored_bytes=10**9)
        more = await place.renter.funding.plan(seconds=Seconds(60 * DAY), stored_bytes=10**9)
        await place.renter.funding.fund(more)
        assert len(place.renter.channels.list()) == 3
        assert all(info.channel.deposit == row.target for info, row in zip(infos, plan.rows, strict=True))

    tell(tmp_path, story, farmers=3)


@pytest.mark.parametrize("farmers", [1, 2])
def test_a_permit_makes_one_transaction_of_approval_and_funding(tmp_path: Path, farmers: int) -> None:
    async def story(place: Village) -> None:
        chain = place.world.chain
        await place.world.send(chain.calls.approve(0))
        await place.meet()
        plan = await place.renter.funding.plan(amount=Amount(10**16))
        assert [call.to for call in plan.calls] == [chain.deployment.contract]
        sent = await place.renter.funding.fund(plan)
        assert len(sent.receipts) == 1
        assert 0 <= plan.gas - sent.gas < 20_500  # what the chain gives back for an allowance used up
        assert await chain.allowance(place.keys.payer) == 0
        assert {info.channel.deposit for info in place.renter.channels.list()} == {10**16}
        again = await place.renter.funding.plan(amount=Amount(2 * 10**16))
        await place.renter.funding.fund(again)
        assert {info.channel.deposit for info in place.renter.channels.list()} == {2 * 10**16}

    tell(tmp_path, story, farmers=farmers)


def test_a_plan_counts_what_a_killed_program_has_sent(tmp_path: Path) -> None:
    """Its permit and its allowance are used up when that is mined; without it the next would be refused."""

    async def story(place: Village) -> None:
        rpc = place.world.chain.rpc
        await place.world.send(place.world.chain.calls.approve(0))
        await place.meet()
        await rpc.request("evm_setAutomine", False)
        first = await place.renter.funding.plan(amount=Amount(10**16))
        killed = asyncio.create_task(place.renter.funding.fund(first))
        while [one.phase for one in place.database.read(list_open)] != [Phase.SENT]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await end([killed])
        await place.restart_renter()
        planning = asyncio.create_task(place.renter.funding.plan(amount=Amount(3 * 10**16)))
        done, _ = await asyncio.wait([planning], timeout=0.5)
        assert not done
        await rpc.request("evm_setAutomine", True)
        await mine(rpc)
        second = await planning
        assert second.total == 2 * 10**16
        await place.renter.funding.fund(second)
        (info,) = place.renter.channels.list()
        assert info.channel.deposit == 3 * 10**16

    with LocalChain.start(ChainKind.ANVIL, block_time=0) as anvil:
        tell(tmp_path, story, farmers=1, endpoint=anvil.url)


def test_a_permit_serves_all_calls_of_a_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "MOST_ROWS", 2)

    async def story(place: Village) -> None:
        chain = place.world.chain
        await place.world.send(chain.calls.approve(0))
        await place.meet()
        plan = await place.renter.funding.plan(amount=Amount(10**16))
        assert len(plan.calls) == 2
        sent = await place.renter.funding.fund(plan)
        assert len(sent.receipts) == 2
        assert sent.gas <= plan.gas
        assert await chain.allowance(place.keys.payer) == 0
        assert {info.channel.deposit for info in place.renter.channels.list()} == {10**16}

    tell(tmp_path, story, farmers=3)


def test_a_token_without_permits_is_approved_first(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.close_renter()
        built = compile_support()["BlocklistToken"]
        made = await send_now(
            place.world.chain.rpc,
            place.world.payer,
            None,
            bytes.fromhex(built["bytecode"].removeprefix("0x")),
        )
        assert made.contract is not None
        record = replace(place.world.chain.deployment, token=made.contract)
        place.world = replace(place.world, chain=Chain(place.world.chain.rpc, record))
        await place.open_renter()
        await place.meet()
        plan = await place.renter.funding.plan(amount=Amount(10**16))
        assert [call.to for call in plan.calls] == [record.token, record.contract]
        await place.renter.funding.fund(plan)
        assert {info.channel.deposit for info in place.renter.channels.list()} == {10**16}

    tell(tmp_path, story, farmers=2)


def test_an_approval_comes_first_where_the_key_is_not_here(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        chain = place.world.chain
        await place.world.send(chain.calls.approve(0))
        place.keys = replace(place.keys, payer_key=None)
        await place.restart_renter()
        await place.meet()
        plan = await place.renter.funding.plan(amount=Amount(10**16))
        assert len(plan.calls) == 2
        assert plan.calls[0].to == chain.deployment.token
        for call in await place.renter.funding.fund_unsigned(plan):
            await place.world.send(call)
        await place.renter.channels.refresh()
        assert await chain.allowance(place.keys.payer) == 0
        assert {info.channel.deposit for info in place.renter.channels.list()} == {10**16}

    tell(tmp_path, story, farmers=2)


def test_the_next_call_does_not_wait_for_confirmations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "MOST_ROWS", 1)

    async def story(place: Village) -> None:
        async def go_on() -> None:
            while True:
                await asyncio.sleep(0.3)
                await mine(place.world.chain.rpc)

        deep(place, 8)
        await place.restart_renter()
        await place.world.send(place.world.chain.calls.approve(0))
        await place.meet()
        plan = await place.renter.funding.plan(amount=Amount(10**16))
        assert len(plan.calls) == 2
        miner = asyncio.create_task(go_on())
        try:
            sent = await place.renter.funding.fund(plan)
        finally:
            await end([miner])
        first, second = (receipt.block_number for receipt in sent.receipts)
        assert 0 < second - first < 8
        for info in place.renter.channels.list():
            assert (info.channel.status, info.channel.deposit) == (Status.FUNDED, 10**16)

    tell(tmp_path, story, farmers=2)


def test_a_transaction_of_a_killed_process_is_sent_and_followed(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        world = place.world
        deep(place, 2)
        call = world.chain.calls.approve(7)
        place.database.write_sync(lambda conn: add_wish(conn, "fund", place.keys.payer, call, 0))
        await place.restart_renter()
        assert await world.chain.allowance(place.keys.payer) == 7
        (queued,) = place.database.read(list_open)
        assert queued.phase is Phase.SENT
        await mine(world.chain.rpc)
        await place.renter.tick()
        assert place.database.read(list_open) == []

    tell(tmp_path, story, farmers=1)


def deep(place: Village, confirmations: int) -> None:
    """Let the renter, once restarted, wait for so many confirmations."""
    chain = place.world.chain
    record = replace(chain.deployment, confirmations=confirmations)
    place.world = replace(place.world, chain=Chain(chain.rpc, record))


def test_a_cold_wallet_funds_and_the_renter_finds_it(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        place.keys = replace(place.keys, payer_key=None)
        await place.restart_renter()
        await place.meet()
        plan = await place.renter.funding.plan(amount=Amount(10**16))
        with pytest.raises(PayerMissing):
            await place.renter.funding.fund(plan)
        for call in await place.renter.funding.fund_unsigned(plan):
            await place.world.send(call)
        assert {info.channel.status for info in place.renter.channels.list()} == {Status.OPENED}
        await place.renter.channels.refresh()
        assert {info.channel.status for info in place.renter.channels.list()} == {Status.FUNDED}
        await place.store("file", b"content")
        assert await place.read("file") == b"content"

    tell(tmp_path, story, farmers=2)


def test_a_channel_nobody_remembers_is_adopted(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        await place.close_renter()
        lose(tmp_path)
        await place.open_renter()
        await place.renter.channels.refresh()
        assert {info.farmer for info in place.renter.channels.list()} == {None}
        await place.meet()
        await place.renter.channels.refresh()
        infos = place.renter.channels.list()
        assert {info.farmer for info in infos} == {farmer.node for farmer in place.farmers}
        assert {info.life for info in infos} == {0}
        await place.store("file", b"content")
        assert await place.read("file") == b"content"

    tell(tmp_path, story, farmers=2)


async def fund_as_a_stranger(place: Village, period: int = DAY, life: int = 63) -> None:
    """Open a channel to each farmer in the renter's name: all it takes is public."""
    chain, stranger = place.world.chain, place.world.stranger
    await place.world.send(chain.calls.transfer(stranger.address, Amount(10**18)))
    await place.world.send(chain.calls.approve(10**18), stranger)
    salt = channel_salt(chain.deployment.genesis_hash, life)
    rows = [(farmer.settings.payee, Amount(10**16)) for farmer in place.farmers]
    call = chain.calls.fund(place.keys.signer.address, Seconds(period), salt, rows, chain.deployment.token)
    await place.world.send(call, stranger)


def test_a_stranger_s_channel_in_our_signer_s_name_changes_nothing(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        await place.store("file", content(20_000))
        ours = {info.channel.id for info in place.renter.channels.list()}
        await fund_as_a_stranger(place)
        await fund_as_a_stranger(place, period=2**32 - 1)
        place.clock.pass_time(INTERVAL)
        report = await place.renter.tick()
        assert [audit.outcome for audit in report.audits] == [Outcome.PASSED] * 2
        assert await place.read("file") == content(20_000)
        assert {info.channel.id for info in place.renter.channels.list()} == ours
        plan = await place.renter.funding.plan(amount=Amount(2 * 10**17))
        assert {row.channel for row in plan.rows} == ours

    tell(tmp_path, story, farmers=2)


def test_channels_of_a_payer_that_the_owner_names_are_adopted(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.meet()
        friend = place.world.stranger.address
        with pytest.raises(NothingToDo):
            await place.renter.channels.adopt(friend)
        await fund_as_a_stranger(place, life=0)
        adopted = await place.renter.channels.adopt(friend)
        assert {info.channel.terms.payer for info in adopted} == {friend}
        await place.store("file", b"content")
        await fund_as_a_stranger(place, life=1)
        await place.renter.channels.refresh()
        assert {info.life for info in place.renter.channels.list() if info.farmer} == {0, 1}
        plan = await place.renter.funding.plan(amount=Amount(2 * 10**17))
        assert {(row.terms.payer, row.deposit, row.life) for row in plan.rows} == {(place.keys.payer, 0, 2)}

    tell(tmp_path, story, farmers=1)


def test_a_channel_is_closed_withdrawn_and_opened_anew(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        chain, payer = place.world.chain, place.keys.payer
        await place.fund(10**16)
        await place.store("file", content(1_000))
        await place.renter.audits.audit()
        before = await chain.token_balance(payer)
        closed = place.renter.channels.list()[0]
        name = closed.channel.id
        assert await place.renter.channels.withdrawal_opens(name) is None
        with pytest.raises(WithdrawalNotOpen):
            await place.renter.exits.plan_withdraw([name])
        plan = await place.renter.exits.plan_close([name])
        assert plan.amount == closed.channel.deposit - closed.channel.earned
        await place.renter.exits.send(plan)
        info = place.renter.channels.show(name)
        assert info.channel.status is Status.CLOSING
        opens = await place.renter.channels.withdrawal_opens(name)
        assert opens == info.withdrawal_opens
        with pytest.raises(NothingToDo):
            await place.renter.exits.plan_close([name])
        with pytest.raises(WithdrawalNotOpen) as early:
            await place.renter.exits.plan_withdraw([name])
        assert early.value.opens_at == opens
        farmer = place.farmer(closed.farmer or NodeId(b""))
        await farmer.farmer.follow()
        await farmer.farmer.collect(everything=True)
        await warp(chain.rpc, 61)
        plan = await place.renter.exits.plan_withdraw([name])
        await place.renter.exits.send(plan)
        assert place.renter.channels.show(name).channel.status is Status.CLOSED
        rest = closed.channel.deposit - closed.channel.earned
        assert await chain.token_balance(payer) == before + rest
        assert await chain.token_balance(farmer.settings.payee) == closed.channel.earned
        again = await place.renter.funding.plan([farmer.node], amount=Amount(10**16))
        assert [row.life for row in again.rows] == [1]
        await place.renter.funding.fund(again)
        await place.store("other", b"content")
        assert await place.read("other") == b"content"

    tell(tmp_path, story, farmers=2)


def test_a_channel_that_closes_meanwhile_is_told_as_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        names = [info.channel.id for info in place.renter.channels.list()]
        plan = await place.renter.exits.plan_close(names)
        other = await place.renter.exits.plan_close(names[:1])
        first = await place.renter.exits.send(other)
        assert first.skipped == ()
        sent = await place.renter.exits.send(plan)
        assert [(row.channel_id, row.reason) for row in sent.skipped] == [(names[0], Reason.CLOSING)]
        with pytest.raises(NotDone, match=r"skipped 1 channel: .* \(closing\); close was done for 1 of 2"):
            tell_sent(TOKEN, plan, sent, "Closing", as_json=True)
        assert json.loads(capsys.readouterr().out)["skipped"] == {"0x" + names[0].hex(): "CLOSING"}
        with pytest.raises(NotDone):
            tell_sent(TOKEN, plan, sent, "Closing", as_json=False)
        assert capsys.readouterr().out == ""  # nothing that reads like success
        tell_sent(TOKEN, plan, first, "Closing", as_json=False)
        assert "2 channels" in capsys.readouterr().out

    tell(tmp_path, story, farmers=2)


def test_a_push_pays_what_was_earned_on_the_chain(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        await place.store("file", content(1_000))
        names = [info.channel.id for info in place.renter.channels.list()]
        with pytest.raises(NothingToDo):
            await place.renter.exits.plan_push(names)
        await place.renter.audits.audit()
        plan = await place.renter.exits.plan_push(names)
        assert len(plan.calls) == 1
        assert plan.amount == sum(place.earned(farmer.node) for farmer in place.farmers)
        await place.renter.exits.send(plan)
        for farmer in place.farmers:
            balance = await place.world.chain.token_balance(farmer.settings.payee)
            assert balance == place.earned(farmer.node) > 0
        assert {info.channel.unclaimed for info in place.renter.channels.list()} == {0}

    tell(tmp_path, story, farmers=2)


def test_prepaying_hands_over_vouchers_for_the_time_away(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        await place.store("file", content(50_000), k=1, n=2)
        results = await place.renter.payments.prepay(Seconds(DAY))
        assert len(results) == 2
        assert all(result.delivered for result in results)
        for farmer in place.farmers:
            status = await farmer.farmer.status()
            assert [channel.paid for channel in status.channels] == [place.earned(farmer.node)]
        broke = await place.renter.payments.prepay(Seconds(80 * 365 * DAY))
        assert all(result.delivered for result in broke)  # never beyond the agreements' end
        with pytest.raises(UnknownChannel):
            place.renter.channels.show(ChannelId(bytes(32)))

    tell(tmp_path, story, farmers=2)


def test_what_cannot_be_funded_is_said_plainly(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        with pytest.raises(NothingToDo):
            await place.renter.funding.plan(amount=Amount(1))
        await place.meet()
        with pytest.raises(UnknownPeer):
            await place.renter.funding.plan([NodeId(bytes(32))], amount=Amount(1))
        with pytest.raises(TokensMissing) as poor:
            await place.renter.funding.plan(amount=Amount(10**30 // 3))
        assert poor.value.needed > poor.value.balance
        await place.farmers[0].stop()
        with pytest.raises(NoQuote) as absent:
            await place.renter.funding.plan(amount=Amount(1))
        assert absent.value.farmer == place.farmers[0].node
        present = await place.renter.funding.plan([place.farmers[1].node], amount=Amount(10**16))
        assert len(present.rows) == 1

    tell(tmp_path, story, farmers=2)
