"""The watcher on real chains: what counts when, what a restart and a reorganisation leave behind."""

import random
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from web3.types import RPCEndpoint, RPCResponse

from payments import channel as machine
from payments.channel import Channel, ClaimNow, Status, StopAccepting, VoucherAccepted
from payments.types import Address, Amount
from settlement import watcher as watcher_module
from settlement.chain_events import ChannelFunded
from settlement.client import Chain
from settlement.database import Database
from settlement.embedded_chain import EmbeddedProvider
from settlement.errors import Reorganised, WrongGenesis
from settlement.local_chain import DEV_PATH, DEV_PHRASE, ChainKind, LocalChain, mine, warp
from settlement.reverts import Refused
from settlement.rpc import Block, Rpc
from settlement.tables import TABLES, list_channels, load_channel, save_channel
from settlement.wallet import new_key
from settlement.watcher import News, Watcher
from settlement.watcher_store import mark_seen_at
from tests.databases import on_both
from tests.settlement.conftest import Endpoint
from tests.settlement.support import PERIOD, World, all_of, deep, held, payee, reorganise, run, world

ALICE, BOB = payee(1), payee(2)
SAFE_BLOCKS = 32
"""How far behind its newest block Anvil calls one safe."""


def channel(database: Database, w: World, who: Address = ALICE) -> Channel:
    found = database.read(lambda conn: load_channel(conn, w.id(who)))
    assert found is not None
    return found


def accept(database: Database, w: World, total: int) -> None:
    """The farmer accepts a voucher."""

    def work(conn: Any) -> None:  # noqa: ANN401
        found = load_channel(conn, w.id(ALICE))
        assert found is not None
        save_channel(conn, machine.apply(found, VoucherAccepted(Amount(total)))[0])

    database.write_sync(work)


def kinds(news: News) -> list[str]:
    return [type(event).__name__ for event in news.events]


def test_a_farmer_sees_the_whole_life_of_a_channel(endpoint: Endpoint, database: Database) -> None:
    async def story() -> None:
        async with world(endpoint()) as w:
            watcher = Watcher(database, w.chain, payees=[ALICE])
            assert kinds(await watcher.poll()) == []
            await w.fund((ALICE, 100), (BOB, 50))
            assert kinds(await watcher.poll()) == ["ChannelFunded"]
            known = channel(database, w)
            assert (known.terms, known.deposit, known.status) == (w.terms(ALICE), 100, Status.FUNDED)
            assert database.read(lambda conn: list_channels(conn, payee=BOB)) == []
            accept(database, w, 40)
            await w.send(w.chain.calls.claim([w.voucher(ALICE, 30)]), w.stranger)
            await w.push((ALICE, 60))
            await w.fund((ALICE, 150))
            assert kinds(await watcher.poll()) == ["ChannelClaimed", "ChannelClaimed", "ChannelFunded"]
            known = channel(database, w)
            assert (known.claimed, known.earned, known.deposit) == (60, 60, 150)
            accept(database, w, 90)
            await w.request_close(ALICE)
            news = await watcher.poll()
            known = channel(database, w)
            assert known.status is Status.CLOSING
            assert [pending.effect for pending in news.effects] == [
                StopAccepting(known.id),
                ClaimNow(known.id, Amount(90), known.closes_at),
            ]
            again = await Watcher(database, w.chain, payees=[ALICE]).poll()
            assert (again.events, again.effects) == ((), news.effects)
            await watcher.acknowledge(news.effects[:1])
            assert (await watcher.poll()).effects == news.effects[1:]
            await warp(w.chain.rpc, PERIOD + 5)
            await w.withdraw(ALICE)
            assert kinds(await watcher.poll()) == ["ChannelWithdrawn"]
            assert channel(database, w).status is Status.CLOSED

    run(story())


def test_a_renter_finds_what_a_cold_wallet_funded(endpoint: Endpoint, database: Database) -> None:
    async def story() -> None:
        async with world(endpoint()) as w:
            watcher = Watcher(database, w.chain, signers=[w.signer.address])
            await w.fund((ALICE, 100), (BOB, 50))
            await watcher.poll()
            found = database.read(lambda conn: list_channels(conn, payer=w.payer.address))
            assert [(one.terms.payee, one.deposit) for one in found] == [(ALICE, 100), (BOB, 50)]
            assert database.read(lambda conn: list_channels(conn, signer=w.stranger.address)) == []
            funded = database.read(lambda conn: list_channels(conn, payee=BOB, status=Status.FUNDED))
            assert [one.id for one in funded] == [w.id(BOB)]

    run(story())


@on_both
def test_good_news_counts_at_depth_bad_news_at_first_sight(
    instant_anvil: LocalChain, database: Database
) -> None:
    async def story() -> None:
        async with world(instant_anvil.url) as w:
            watcher = Watcher(database, deep(w, 3), payees=[ALICE])
            await w.fund((ALICE, 100))
            for _ in range(2):
                assert kinds(await watcher.poll()) == []
                assert database.read(lambda conn: load_channel(conn, w.id(ALICE))) is None
                await mine(w.chain.rpc)
            assert kinds(await watcher.poll()) == ["ChannelFunded"]
            assert channel(database, w).deposit == 100
            await w.push((ALICE, 10))
            await w.request_close(ALICE)
            news = await watcher.poll()
            assert kinds(news) == ["ChannelCloseRequested"]
            assert (channel(database, w).status, channel(database, w).claimed) == (Status.CLOSING, 0)
            await mine(w.chain.rpc, 3)
            assert kinds(await watcher.poll()) == ["ChannelClaimed"]
            assert channel(database, w).claimed == 10

    run(story())


def test_good_news_counts_when_the_chain_calls_it_final(
    instant_anvil: LocalChain, database: Database
) -> None:
    async def story() -> None:
        async with world(instant_anvil.url) as w:
            record = replace(w.chain.deployment, finality="safe")
            watcher = Watcher(database, Chain(w.chain.rpc, record), payees=[ALICE])
            await w.fund((ALICE, 100))
            await w.request_close(ALICE)
            await w.chain.rpc.request("anvil_mine", SAFE_BLOCKS - 3)
            assert kinds(await watcher.poll()) == []
            await mine(w.chain.rpc, 2)
            assert kinds(await watcher.poll()) == ["ChannelFunded", "ChannelCloseRequested"]

    run(story())


def test_a_close_seen_before_its_deposit_was_confirmed_counts_with_it(
    instant_anvil: LocalChain, database: Database
) -> None:
    async def story() -> None:
        async with world(instant_anvil.url) as w:
            watcher = Watcher(database, deep(w, 4), payees=[ALICE])
            await w.fund((ALICE, 100))
            await w.request_close(ALICE)
            assert kinds(await watcher.poll()) == []
            await mine(w.chain.rpc, 4)
            assert kinds(await watcher.poll()) == ["ChannelFunded", "ChannelCloseRequested"]
            assert channel(database, w).status is Status.CLOSING
            await mine(w.chain.rpc, 4)
            assert kinds(await watcher.poll()) == []

    run(story())


def test_a_close_before_the_deposit_counts_is_not_lost(instant_anvil: LocalChain, database: Database) -> None:
    async def story() -> None:
        async with world(instant_anvil.url) as w:
            watcher = Watcher(database, deep(w, 5), payees=[ALICE])
            await w.fund((ALICE, 100))
            await w.fund((ALICE, 150))
            await watcher.poll()
            await w.request_close(ALICE)
            assert kinds(await watcher.poll()) == []
            await mine(w.chain.rpc, 2)
            assert kinds(await watcher.poll()) == ["ChannelFunded", "ChannelCloseRequested"]
            (state,) = await w.chain.channel_states([w.id(ALICE)])
            known = channel(database, w)
            assert (known.status, known.closes_at) == (Status.CLOSING, state.closes_at)
            await mine(w.chain.rpc, 6)
            again = await watcher.poll()
            assert channel(database, w).closes_at == state.closes_at
            assert "ChannelCloseRequested" not in kinds(again)

    run(story())


@on_both
def test_a_withdrawal_right_after_a_reorganisation_is_not_lost(
    instant_anvil: LocalChain, database: Database
) -> None:
    async def story() -> None:
        async with world(instant_anvil.url) as w:
            watcher = Watcher(database, deep(w, 3), payees=[ALICE])
            await w.fund((ALICE, 100))
            await mine(w.chain.rpc, 4)
            await watcher.poll()
            accept(database, w, 40)
            await w.request_close(ALICE)
            await watcher.poll()
            assert channel(database, w).status is Status.CLOSING
            await reorganise(w.chain.rpc, 1)
            await w.request_close(ALICE)
            await warp(w.chain.rpc, PERIOD + 5)
            await w.withdraw(ALICE)
            news = await watcher.poll()
            assert news.reorganised_at is not None
            known = channel(database, w)
            assert (known.status, known.deposit, known.claimed) == (Status.CLOSED, 100, 0)
            await mine(w.chain.rpc, 4)
            await watcher.poll()
            assert (channel(database, w).status, channel(database, w).claimed) == (Status.CLOSED, 0)

    run(story())


@on_both
def test_a_push_that_was_taken_back_leaves_the_channel_serving(
    instant_anvil: LocalChain, database: Database
) -> None:
    async def story() -> None:
        async with world(instant_anvil.url) as w:
            watcher = Watcher(database, deep(w, 2), payees=[ALICE])
            await w.fund((ALICE, 100))
            await mine(w.chain.rpc)
            await watcher.poll()
            accept(database, w, 40)
            await w.fund((ALICE, 200))
            await w.push((ALICE, 150))
            await mine(w.chain.rpc)
            await watcher.poll()
            assert (channel(database, w).earned, channel(database, w).claimed) == (150, 150)
            await reorganise(w.chain.rpc, 3)
            await watcher.poll()
            known = channel(database, w)
            assert (known.status, known.deposit, known.claimed) == (Status.FUNDED, 100, 0)
            assert (known.earned, known.promised) == (40, 40)

    run(story())


@on_both
def test_a_reorganisation_takes_back_what_it_took_back(instant_anvil: LocalChain, database: Database) -> None:
    async def story() -> None:
        async with world(instant_anvil.url) as w:
            watcher = Watcher(database, w.chain, payees=[ALICE])
            await w.fund((ALICE, 100))
            await watcher.poll()
            common = (await w.chain.head()).number
            await w.fund((ALICE, 250))
            await w.request_close(ALICE)
            await watcher.poll()
            assert (channel(database, w).deposit, channel(database, w).status) == (250, Status.CLOSING)
            await reorganise(w.chain.rpc, 2)
            news = await watcher.poll()
            assert news.reorganised_at == common
            known = channel(database, w)
            assert (known.deposit, known.closes_at, known.status) == (100, 0, Status.FUNDED)
            assert (await watcher.poll()).reorganised_at is None
            await w.fund((ALICE, 120))
            await watcher.poll()
            assert channel(database, w).deposit == 120

    run(story())


@on_both
def test_a_channel_holding_less_than_promised_stays_frozen_until_refunded(
    instant_anvil: LocalChain, database: Database
) -> None:
    async def story() -> None:
        async with world(instant_anvil.url) as w:
            watcher = Watcher(database, w.chain, payees=[ALICE])
            await w.fund((ALICE, 100))
            await watcher.poll()
            accept(database, w, 80)
            await reorganise(w.chain.rpc, 1)
            news = await watcher.poll()
            assert StopAccepting(w.id(ALICE)) in [pending.effect for pending in news.effects]
            known = channel(database, w)
            assert (known.deposit, known.earned, known.status) == (0, 80, Status.FROZEN)
            await w.fund((ALICE, 100))
            await watcher.poll()
            known = channel(database, w)
            assert (known.deposit, known.earned, known.status) == (100, 80, Status.FUNDED)

    run(story())


def test_a_block_met_by_somebody_else_hides_no_reorganisation_of_those_before_it(
    instant_anvil: LocalChain, database: Database
) -> None:
    async def story() -> None:
        async with world(instant_anvil.url) as w:
            watcher = Watcher(database, w.chain, payees=[ALICE])
            await w.fund((ALICE, 100))
            await watcher.poll()
            common = (await w.chain.head()).number
            await w.fund((ALICE, 250))
            await watcher.poll()
            await reorganise(w.chain.rpc, 1)
            await mine(w.chain.rpc, 2)
            met = await w.chain.head()
            await database.write(lambda conn: mark_seen_at(conn, w.id(ALICE), met))
            assert (await watcher.poll()).reorganised_at == common
            assert channel(database, w).deposit == 100
            assert (await watcher.poll()).reorganised_at is None

    run(story())


def test_a_block_replaced_while_the_watcher_looks_is_not_followed(
    instant_anvil: LocalChain, database: Database
) -> None:
    async def story() -> None:
        async with world(instant_anvil.url) as w:
            watcher = Watcher(database, w.chain, payees=[ALICE])
            await watcher.poll()
            await w.fund((ALICE, 100))
            met, fork = await w.chain.head(), watcher._fork

            async def replaced(head: Block, hashes: dict[int, bytes], seen: int) -> int | None:
                found = await fork(head, hashes, seen)
                other = replace(met, hash=b"other" + bytes(27))
                await database.write(lambda conn: mark_seen_at(conn, w.id(ALICE), other))
                return found

            watcher._fork = replaced  # type: ignore[method-assign]
            with pytest.raises(Reorganised):
                await watcher.poll()
            watcher._fork = fork  # type: ignore[method-assign]
            assert (await watcher.poll()).reorganised_at == met.number - 1
            assert channel(database, w).deposit == 100

    run(story())


def test_a_reorganisation_deeper_than_our_memory_is_read_from_the_start(
    instant_anvil: LocalChain, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher_module, "KEPT_HASHES", 2)

    async def story() -> None:
        async with world(instant_anvil.url) as w:
            watcher = Watcher(database, w.chain, payees=[ALICE])
            await w.fund((ALICE, 100))
            for total in range(101, 107):
                await w.fund((ALICE, total))
                await watcher.poll()
            await reorganise(w.chain.rpc, 6)
            news = await watcher.poll()
            assert news.reorganised_at == w.chain.deployment.deployed_block - 1
            assert (channel(database, w).deposit, channel(database, w).status) == (100, Status.FUNDED)

    run(story())


def test_a_node_that_lags_behind_is_waited_for(instant_anvil: LocalChain, database: Database) -> None:
    async def story() -> None:
        async with world(instant_anvil.url) as w:
            watcher = Watcher(database, w.chain, payees=[ALICE])
            await w.fund((ALICE, 100))
            await mine(w.chain.rpc)
            await w.fund((ALICE, 200))
            await watcher.poll()
            await w.chain.rpc.provider.make_request(RPCEndpoint("anvil_rollback"), [1])
            news = await watcher.poll()
            assert (news.reorganised_at, news.events) == (None, ())
            assert channel(database, w).deposit == 200
            await mine(w.chain.rpc, 2)  # other blocks in their place: now it is certain
            news = await watcher.poll()
            assert news.reorganised_at is not None
            assert channel(database, w).deposit == 100

    run(story())


def test_reverted_snapshots_are_reorganisations_too(endpoint: Endpoint, database: Database) -> None:
    async def story() -> None:
        async with world(endpoint()) as w:
            watcher = Watcher(database, w.chain, payees=[ALICE])
            await w.fund((ALICE, 100))
            await watcher.poll()
            snapshot = await w.chain.rpc.request("evm_snapshot")
            await w.fund((ALICE, 300))
            await watcher.poll()
            assert channel(database, w).deposit == 300
            await w.chain.rpc.request("evm_revert", snapshot)
            await mine(w.chain.rpc, 3)
            await w.fund((ALICE, 150))
            await watcher.poll()
            assert (channel(database, w).deposit, channel(database, w).status) == (150, Status.FUNDED)

    run(story())


def test_days_offline_are_read_page_by_page(
    instant_anvil: LocalChain, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher_module, "PAGE", 7)
    monkeypatch.setattr(watcher_module, "KEPT_HASHES", 5)

    async def story() -> None:
        async with world(instant_anvil.url) as w:
            for total in (10, 20, 30):
                await w.fund((ALICE, total))
                await mine(w.chain.rpc, 20)
            watcher = Watcher(database, w.chain, payees=[ALICE])
            funded = all_of(ChannelFunded, (await watcher.poll()).events)
            assert [event.deposit for event in funded] == [10, 20, 30]
            assert channel(database, w).deposit == 30

    run(story())


class Stingy(EmbeddedProvider):
    """A chain whose node answers for three blocks at once at most."""

    async def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:  # noqa: ANN401
        if method == "eth_getLogs" and params[0]["to_block"] - params[0]["from_block"] >= 3:
            return {"id": 0, "jsonrpc": "2.0", "error": {"code": -32005, "message": "too many blocks"}}
        return await super().make_request(method, params)


@on_both
def test_smaller_pages_are_asked_for_where_the_node_refuses(database: Database) -> None:
    async def story() -> None:
        async with world(Stingy(DEV_PHRASE, DEV_PATH, 3)) as w:
            for total in range(1, 12):
                await w.fund((ALICE, total))
            watcher = Watcher(database, w.chain, payees=[ALICE])
            funded = all_of(ChannelFunded, (await watcher.poll()).events)
            assert [event.deposit for event in funded] == list(range(1, 12))
            assert watcher._page <= 3

    run(story())


def test_a_restarted_chain_is_told_from_a_lagging_one(database: Database) -> None:
    async def follow(chain: LocalChain) -> World:
        async with world(chain.url) as w:
            await w.fund((ALICE, 1))
            await mine(w.chain.rpc, 300)
            await Watcher(database, w.chain, payees=[ALICE]).poll()
            return w

    with LocalChain.start(ChainKind.ANVIL, block_time=0.1) as chain:
        known = run(follow(chain))
    port = int(chain.url.rpartition(":")[2])

    async def story() -> None:
        async with await Rpc.open(chain.url) as rpc:
            with pytest.raises(WrongGenesis):
                await Watcher(database, Chain(rpc, known.chain.deployment), payees=[ALICE]).poll()

    with LocalChain.start(ChainKind.ANVIL, port=port):
        run(story())
    assert channel(database, known).deposit == 1


STEPS = 30
DEPOSIT = 1_000
"""Below every reorganisation, and above all pushes: what was promised stays covered."""


async def disturb(w: World, chance: random.Random, who: Address, total: int, height: int) -> None:
    """Do something to the chain, or undo something back to `height` at most."""
    match chance.choice(("fund", "fund", "push", "close", "mine", "reorganise")):
        case "fund":
            with suppress(Refused):  # it closes
                await w.fund((who, total + DEPOSIT))
        case "push":
            await w.push((who, total))
        case "close":
            await w.request_close(who)
        case "mine":
            await mine(w.chain.rpc, chance.randrange(1, 4))
        case _:
            depth = min(chance.randrange(1, 7), (await w.chain.head()).number - height)
            if depth > 0:
                await reorganise(w.chain.rpc, depth)


@pytest.mark.parametrize("seed", [1, 2])
def test_after_any_reorganisations_the_state_equals_a_replay(
    instant_anvil: LocalChain, tmp_path: Path, seed: int
) -> None:
    async def story(live: Database, replay: Database) -> None:
        chance = random.Random(seed)
        payees = [new_key().address for _ in range(3)]
        async with world(instant_anvil.url) as w:
            await w.fund(*((who, DEPOSIT) for who in payees))
            height = (await w.chain.head()).number
            watcher = Watcher(live, deep(w, 2), payees=payees)
            for number in range(STEPS):
                await disturb(w, chance, chance.choice(payees), 10 * (number + 1), height)
                if chance.random() < 0.7:
                    await watcher.poll()
            await mine(w.chain.rpc, 2)
            await watcher.poll()
            await Watcher(replay, deep(w, 2), payees=payees).poll()
            assert held(live) == held(replay) != {}

    databases = [Database.at(tmp_path / name, TABLES) for name in ("live.db", "replay.db")]
    try:
        run(story(*databases))
    finally:
        for one in databases:
            one.close()
