"""The client against real chains: verified connections, typed reads, calls, events, errors by name."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from web3.types import RPCEndpoint, RPCResponse

from payments.types import Address, Amount
from settlement import endpoint as endpoint_module
from settlement.chain_events import (
    ChannelClaimed,
    ChannelCloseRequested,
    ChannelFunded,
    ChannelWithdrawn,
    Reason,
    RowSkipped,
)
from settlement.client import Chain
from settlement.deployment import Deployment
from settlement.embedded_chain import EmbeddedProvider
from settlement.errors import (
    ChainUnreachable,
    ContractDifferent,
    ContractMissing,
    MalformedAnswer,
    NodeRefused,
    Reorganised,
    WrongChain,
    WrongGenesis,
)
from settlement.local_chain import DEV_PATH, DEV_PHRASE, LocalChain, embedded, warp
from settlement.reverts import (
    DepositMismatch,
    ERC20InsufficientAllowance,
    ERC20InsufficientBalance,
    NotPayee,
    Refused,
    ZeroSigner,
)
from settlement.rpc import Rpc
from tests.settlement.conftest import Endpoint
from tests.settlement.support import PERIOD, all_of, channel_state, payee, run, world

ALICE, BOB, CAROL = payee(1), payee(2), payee(3)


def test_a_channel_lives_its_life(endpoint: Endpoint) -> None:
    async def story() -> None:
        async with world(endpoint()) as w:
            chain = w.chain
            funded = chain.events_of(await w.fund((ALICE, 100), (BOB, 200)))
            assert [type(event) for event in funded] == [ChannelFunded, ChannelFunded]
            deposits = [(e.terms, e.deposit) for e in all_of(ChannelFunded, funded)]
            assert deposits == [(w.terms(ALICE), 100), (w.terms(BOB), 200)]
            ids = [event.channel_id for event in funded]
            assert ids == [w.id(ALICE), w.id(BOB)]
            assert await chain.channel_states(ids) == (channel_state(100, 0, 0), channel_state(200, 0, 0))

            claimed = chain.events_of(await w.send(chain.calls.claim([w.voucher(ALICE, 30)]), w.stranger))
            assert [(e.channel_id, e.claimed) for e in all_of(ChannelClaimed, claimed)] == [(ids[0], 30)]
            both = chain.calls.claim([w.voucher(ALICE, 40), w.voucher(BOB, 250)])
            claimed = chain.events_of(await w.send(both, w.stranger))
            totals = [(e.channel_id, e.claimed) for e in all_of(ChannelClaimed, claimed)]
            assert totals == [(ids[0], 40), (ids[1], 200)]
            pushed = chain.events_of(await w.push((ALICE, 60)))
            assert [(e.channel_id, e.claimed) for e in all_of(ChannelClaimed, pushed)] == [(ids[0], 60)]

            closing = chain.events_of(await w.request_close(ALICE, BOB))
            assert {type(event): event.channel_id for event in closing} == {
                ChannelCloseRequested: ids[0],
                RowSkipped: ids[1],
            }
            state = (await chain.channel_states(ids))[0]
            assert state.closes_at >= (await chain.head()).timestamp + PERIOD - 5
            await warp(chain.rpc, PERIOD + 5)
            (withdrawn,) = chain.events_of(await w.withdraw(ALICE))
            assert isinstance(withdrawn, ChannelWithdrawn)
            assert (withdrawn.channel_id, withdrawn.amount) == (ids[0], 40)
            assert await chain.token_balance(ALICE) == 60
            assert await chain.token_balance(BOB) == 200

            first = chain.deployment.deployed_block
            everything = await chain.events(first, (await chain.head()).number)
            assert everything == (*funded, *everything[2:3], *claimed, *pushed, *closing, withdrawn)

    run(story())


def test_a_payee_may_release(endpoint: Endpoint) -> None:
    async def story() -> None:
        async with world(endpoint()) as w:
            farmer = w.stranger.address
            await w.fund((farmer, 70))
            await w.request_close(farmer)
            call = w.chain.calls.release(w.terms(farmer))
            with pytest.raises(NotPayee) as caught:
                await w.chain.simulate(call, w.payer.address)
            assert (caught.value.payee, caught.value.caller) == (farmer, w.payer.address)
            events = w.chain.events_of(await w.send(call, w.stranger))
            assert [type(event) for event in events] == [ChannelWithdrawn]

    run(story())


def test_a_call_is_run_twice_where_the_node_can_and_estimated_elsewhere(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Counter[str]()

    async def story() -> None:
        async with world(endpoint()) as w:
            send = w.chain.rpc.current.request

            async def counted(method: str, parameters: Sequence[object]) -> object:
                asked[method] += 1
                return await send(method, parameters)

            monkeypatch.setattr(w.chain.rpc.current, "request", counted)
            for _ in range(3):
                await w.chain.simulate(w.fund_call([(ALICE, 1)]), w.payer.address)

    run(story())
    assert asked in ({"eth_simulateV1": 6}, {"eth_simulateV1": 1, "eth_estimateGas": 3})


def test_reverts_have_the_name_and_arguments_of_the_solidity_error(endpoint: Endpoint) -> None:
    async def story() -> None:
        async with world(endpoint(), allowance=1_000) as w:
            chain, payer = w.chain, w.payer.address
            with pytest.raises(ERC20InsufficientAllowance) as allowance:
                await chain.simulate(w.fund_call([(ALICE, 1_001)]), payer)
            assert allowance.value.detail == {
                "says": allowance.value.says,
                "spender": chain.deployment.contract,
                "allowance": 1_000,
                "needed": 1_001,
            }
            assert allowance.value.code == "ERC20_INSUFFICIENT_ALLOWANCE"
            poor = w.signer.address
            with pytest.raises(ERC20InsufficientBalance) as balance:
                await chain.simulate(chain.calls.transfer(ALICE, Amount(5)), poor)
            assert (balance.value.sender, balance.value.balance, balance.value.needed) == (poor, 0, 5)
            with pytest.raises(ZeroSigner):
                await chain.simulate(
                    chain.calls.fund(Address(bytes(20)), PERIOD, w.salt, [(ALICE, Amount(1))]), payer
                )
            await w.fund((ALICE, 50))
            with pytest.raises(Refused) as refused:
                await chain.simulate(chain.calls.claim([w.voucher(ALICE, 5, signer=w.stranger)]), payer)
            assert refused.value.channel_id == w.id(ALICE)
            assert refused.value.reason == Reason.BAD_SIGNATURE

    run(story())


def test_reads_can_be_pinned_to_a_block(endpoint: Endpoint) -> None:
    async def story() -> None:
        async with world(endpoint()) as w:
            first = await w.fund((ALICE, 10))
            second = await w.fund((ALICE, 25))
            for receipt, deposit in ((first, 10), (second, 25)):
                number = receipt.block_number
                assert (await w.chain.channel_states([w.id(ALICE)], number))[0].deposit == deposit
                held = await w.chain.token_balance(w.chain.deployment.contract, block=number)
                assert held == deposit

    run(story())


def test_tokens_and_balances_are_read(endpoint: Endpoint) -> None:
    async def story() -> None:
        async with world(endpoint(), allowance=77) as w:
            info = await w.chain.token_info()
            assert (info.symbol, info.decimals) == ("TITHE", 18)
            assert await w.chain.allowance(w.payer.address) == 77
            assert await w.chain.token_balance(w.payer.address) == 10**9 * 10**18
            assert 99 * 10**18 < await w.chain.balance(w.payer.address) < 100 * 10**18
            assert await w.chain.code(w.payer.address) == b""
            with pytest.raises(ContractMissing):
                await w.chain.token_info(ALICE)
            assert await w.chain.channel_states([]) == ()
            assert await w.chain.channel_states([w.id(CAROL)]) == (channel_state(0, 0, 0),)

    run(story())


def test_connecting_names_what_is_wrong_with_the_record(endpoint: Endpoint) -> None:
    async def story() -> None:
        async with world(endpoint()) as w:
            good, rpc = w.chain.deployment, w.chain.rpc
            wrong = {
                WrongChain: replace(good, chain_id=1),
                WrongGenesis: replace(good, genesis_hash=bytes(32)),
                ContractMissing: replace(good, contract=ALICE),
                ContractDifferent: replace(good, contract=good.token),
            }
            for error, record in wrong.items():
                with pytest.raises(error):
                    await Chain(rpc, record).verify()

    run(story())


def test_a_restarted_anvil_is_another_chain(anvil: LocalChain) -> None:
    async def deployed() -> Deployment:
        async with world(anvil.url) as w:
            return w.chain.deployment

    record = run(deployed())

    async def story() -> None:
        other = await Rpc.open(embedded())
        chain = replace(record, chain_id=await other.chain_id())
        with pytest.raises(WrongGenesis, match="restarted"):
            await Chain.connect(other, chain)

    run(story())


@contextlib.asynccontextmanager
async def server(answer: bytes | None) -> AsyncIterator[str]:
    """Something that listens: it says `answer` to everybody, or nothing ever."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError), contextlib.closing(writer):
            await reader.read(65536)
            if answer is None:
                await reader.read()
            writer.write(answer or b"")
            await writer.drain()

    listening = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        listening.close()


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"",
        b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
        b'HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n{"id": 0, "jsonrpc": "2.0", "result": ""}',
    ],
)
def test_a_node_that_gives_no_sense_is_unreachable(
    answer: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint_module, "REQUEST_SECONDS", 0.3)

    async def story() -> None:
        async with server(answer) as url, await Rpc.open(url) as rpc:
            with pytest.raises((ChainUnreachable, MalformedAnswer)) as caught:
                await rpc.chain_id()
            assert url in str(caught.value)

    run(story())


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "ws://127.0.0.1:8545", "nonsense"])
def test_no_node_is_unreachable(url: str) -> None:
    async def story() -> None:
        with pytest.raises(ChainUnreachable):
            async with await Rpc.open(url) as rpc:
                await rpc.chain_id()

    run(story())


def test_unknown_methods_are_refused_by_name(endpoint: Endpoint) -> None:
    async def story() -> None:
        async with await Rpc.open(endpoint()) as rpc:
            with pytest.raises(NodeRefused) as caught:
                await rpc.request("eth_nonsense")
            assert caught.value.method == "eth_nonsense"

    run(story())


class Counting(EmbeddedProvider):
    """The embedded chain, counting requests."""

    def __init__(self) -> None:
        super().__init__(DEV_PHRASE, DEV_PATH, 3)
        self.asked: Counter[str] = Counter()

    async def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:  # noqa: ANN401 - web3's signature
        self.asked[method] += 1
        return await super().make_request(method, params)


def test_a_read_is_one_request() -> None:
    async def story() -> None:
        provider = Counting()
        async with world(provider) as w:
            provider.asked.clear()
            await w.chain.channel_states([w.id(ALICE)])
            await w.chain.token_balance(w.payer.address)
            assert provider.asked == {"eth_call": 2}

    run(story())


@pytest.mark.parametrize("kind", ["anvil", "ganache"])
def test_a_state_is_that_of_the_very_block(kind: str, request: pytest.FixtureRequest) -> None:
    chain: LocalChain = request.getfixturevalue(kind)

    async def story() -> None:
        async with world(chain.url) as w:
            await w.fund((ALICE, 10))
            before = await w.chain.head()
            await w.fund((ALICE, 20))
            (state,) = await w.chain.states_at([w.id(ALICE)], before)
            assert state.deposit == 10
            gone = replace(before, hash=bytes(32))
            with pytest.raises(Reorganised) as caught:
                await w.chain.states_at([w.id(ALICE)], gone)
            assert (caught.value.number, caught.value.actual) == (before.number, before.hash)

    run(story())


def test_a_token_that_takes_a_fee_is_named() -> None:
    error = DepositMismatch(expected=10, received=9)
    assert (error.expected, error.received, error.code) == (10, 9, "DEPOSIT_MISMATCH")
    assert "instead of 10" in str(error)


def test_a_read_that_is_never_answered_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_module, "FIRST_SECONDS", 0.05)
    asked = []

    async def forgetful(request: web.Request) -> web.Response:
        question = await request.json()
        asked.append(question["method"])
        if len(asked) == 1:
            await asyncio.sleep(60)
        return web.json_response({"jsonrpc": "2.0", "id": question["id"], "result": "0x7"})

    async def story() -> None:
        app = web.Application()
        app.router.add_post("/", forgetful)
        async with TestServer(app) as server, await Rpc.open(str(server.make_url("/"))) as rpc:
            assert await rpc.balance(ALICE) == 7

    run(story())
    assert asked == ["eth_getBalance"] * 2
