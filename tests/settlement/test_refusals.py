"""What nodes do not take has a reason that can be read, and the next attempt heeds it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rlp
from web3.types import RPCEndpoint, RPCResponse

from settlement.database import Database
from settlement.embedded_chain import EmbeddedProvider
from settlement.errors import NodeRefused, TransactionCancelled
from settlement.local_chain import DEV_PATH, DEV_PHRASE
from settlement.outbox import Outbox
from settlement.outbox_store import Attempt, Phase, list_attempts, load_queued
from settlement.refusals import Refusal, read_refusal
from settlement.tables import TABLES
from tests.settlement.support import World, payee, run, world

ALICE, BOB = payee(1), payee(2)
Rule = Callable[[int, bytes], str]
"""What to say to a raw transaction of so many wei at most and this data; nothing: it is taken."""


class Fussy(EmbeddedProvider):
    """A node that takes no transaction against its rule. `after`: it takes them, and says no all the same."""

    rule: Rule | None = None
    after = False

    async def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:  # noqa: ANN401 - web3's signature
        if method != "eth_sendRawTransaction" or self.rule is None:
            return await super().make_request(method, params)
        _, _, _, cap, gas, _, _, data, *_ = rlp.decode(bytes.fromhex(params[0][4:]))
        said = self.rule(int.from_bytes(cap) * int.from_bytes(gas), data)
        if not said or self.after:
            answer = await super().make_request(method, params)
        return {"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": said}} if said else answer


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.at(tmp_path / "money.db", TABLES)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ("already known", Refusal.SEEN),
        ("AlreadyKnown", Refusal.SEEN),
        ("nonce too low: next nonce 7, tx nonce 6", Refusal.SEEN),
        ("tx fee (1.20 ether) exceeds the configured cap (1.00 ether)", Refusal.FEE_CAP),
        ("oversized data: transaction size 140000, limit 131072", Refusal.NEVER),
        ("exceeds block gas limit", Refusal.NEVER),
        ("transaction gas limit too high (cap: 16777216, tx: 17600000)", Refusal.NEVER),
        ("intrinsic gas too low", Refusal.NEVER),
        ("replacement transaction underpriced", Refusal.OTHER),
        ("insufficient funds for gas * price + value", Refusal.OTHER),
        ("max fee per gas less than block base fee", Refusal.OTHER),
        ("txpool is full", Refusal.OTHER),
    ],
)
def test_refusals_are_read_as_nodes_say_them(said: str, meaning: Refusal) -> None:
    assert read_refusal(NodeRefused("eth_sendRawTransaction", -32000, said)) is meaning


def test_what_every_node_refuses_says_why_until_it_is_taken(database: Database) -> None:
    async def story() -> None:
        node = Fussy(DEV_PHRASE, DEV_PATH, 3)
        async with world(node) as w:
            outbox = Outbox(database, w.chain)
            node.rule = lambda _cost, _data: "txpool is full"
            key = await outbox.submit("fund", w.fund_call([(ALICE, 10)]), w.payer)
            assert "txpool is full" in outbox.open()[0].problem
            with pytest.raises(NodeRefused, match="txpool is full"):
                await outbox.wait(key, 0)
            node.rule = None
            await outbox.wait(key)
            assert database.read(lambda conn: load_queued(conn, key)).problem == ""

    run(story())


def test_what_a_node_has_already_is_no_problem(database: Database) -> None:
    async def story() -> None:
        node = Fussy(DEV_PHRASE, DEV_PATH, 3)
        async with world(node) as w:
            outbox = Outbox(database, w.chain)
            node.rule, node.after = lambda _cost, _data: "already known", True
            key = await outbox.submit("fund", w.fund_call([(ALICE, 10)]), w.payer)
            assert outbox.open()[0].problem == ""
            await outbox.wait(key)

    run(story())


@pytest.mark.parametrize("told", [True, False], ids=["with its number", "without"])
def test_the_next_attempt_costs_what_the_node_passes_on(database: Database, *, told: bool) -> None:
    async def story() -> None:
        node = Fussy(DEV_PHRASE, DEV_PATH, 3)
        async with world(node) as w:
            limit = await most(w, 5, 4)
            number = f" ({limit / 10**18:.18f} ether)" if told else ""
            node.rule = lambda cost, _data: f"tx fee exceeds the configured cap{number}" * (cost > limit)
            outbox = Outbox(database, w.chain)
            key = await outbox.submit("fund", w.fund_call([(ALICE, 10)]), w.payer)
            await outbox.wait(key)
            done = database.read(lambda conn: load_queued(conn, key))
            first, *_, last = database.read(lambda conn: list_attempts(conn, done))
            assert done.gas * last.fees.cap <= limit < done.gas * first.fees.cap
            await outbox.wait(await outbox.submit("fund", w.fund_call([(BOB, 10)]), w.payer))

    run(story())


def test_a_cap_below_what_the_chain_asks_for_is_named_and_asked_again(database: Database) -> None:
    async def story() -> None:
        node, clock = Fussy(DEV_PHRASE, DEV_PATH, 3), Clock()
        async with world(node) as w:
            limit = await most(w, 1, 2)
            said = f"tx fee exceeds the configured cap ({limit / 10**18:.18f} ether)"
            node.rule = lambda cost, _data: said * (cost > limit)
            outbox = Outbox(database, w.chain, clock=clock, stuck_seconds=60)
            key = await outbox.submit("fund", w.fund_call([(ALICE, 10)]), w.payer)
            for _ in range(4):
                clock.now += 61
                await outbox.tick()
                assert "configured cap" in outbox.open()[0].problem
            with pytest.raises(NodeRefused, match="configured cap"):
                await outbox.wait(key, 0)
            node.rule = None  # its owner has raised it
            await outbox.wait(key)

    run(story())


def test_a_restart_heeds_the_cap_that_an_attempt_before_it_has_met(database: Database) -> None:
    async def story() -> None:
        node, clock = Fussy(DEV_PHRASE, DEV_PATH, 3), Clock()
        async with world(node) as w:
            limit = await most(w, 5, 4)
            node.rule = lambda _cost, _data: "tx fee exceeds the configured cap (0.000000000000000001 ether)"
            key = await Outbox(database, w.chain, clock=clock).submit(
                "fund", w.fund_call([(ALICE, 10)]), w.payer
            )
            clock.now += 3_600  # the chain is as cheap as the node wants it by now
            said = f"tx fee exceeds the configured cap ({limit / 10**18:.18f} ether)"
            node.rule = lambda cost, _data: said * (cost > limit)
            later = Outbox(database, w.chain, clock=clock, stuck_seconds=60)
            later.hold([w.payer])
            for _ in range(3):
                clock.now += 61
                await later.tick()
            assert (await later.wait(key)).succeeded

    run(story())


def test_what_was_offered_under_a_higher_ceiling_is_not_offered_less_for(database: Database) -> None:
    """Pools would refuse it: it waits until it may cost more again."""

    async def story() -> None:
        node, clock = Fussy(DEV_PHRASE, DEV_PATH, 3), Clock()
        async with world(node) as w:
            node.rule = lambda _cost, _data: "replacement transaction underpriced"
            outbox = Outbox(database, w.chain, clock=clock, stuck_seconds=60)
            key = await outbox.submit("fund", w.fund_call([(ALICE, 10)]), w.payer)
            (first,) = attempts(database, key)
            outbox.set_ceiling(first.fees.cap - 1)
            clock.now += 61
            await outbox.tick()
            assert attempts(database, key) == [first]

    run(story())


def attempts(database: Database, key: int) -> list[Attempt]:
    return database.read(lambda conn: list_attempts(conn, load_queued(conn, key)))


def test_what_no_node_will_ever_take_gives_its_nonce_to_the_next(database: Database) -> None:
    async def story() -> None:
        node, clock = Fussy(DEV_PHRASE, DEV_PATH, 3), Clock()
        async with world(node) as w:
            outbox = Outbox(database, w.chain, clock=clock, stuck_seconds=60)
            node.rule = lambda _cost, data: "exceeds block gas limit" if data else ""
            key = await outbox.submit("claim", w.fund_call([(ALICE, 10)]), w.payer)
            clock.now += 59
            await outbox.tick()  # it may be a passing mood
            assert database.read(lambda conn: load_queued(conn, key)).phase is Phase.SENT
            assert "exceeds block gas limit" in outbox.open()[0].problem
            clock.now += 1
            await outbox.tick()
            assert database.read(lambda conn: load_queued(conn, key)).phase is Phase.CANCELLING
            with pytest.raises(TransactionCancelled, match="exceeds block gas limit"):
                await outbox.wait(key)
            over = database.read(lambda conn: load_queued(conn, key))
            assert over.phase is Phase.CANCELLED
            assert "exceeds block gas limit" in over.problem
            node.rule = None
            await outbox.wait(await outbox.submit("fund", w.fund_call([(BOB, 10)]), w.payer))

    run(story())


async def most(w: World, numerator: int, denominator: int) -> int:
    """Wei that funding takes at this part of what gas costs now."""
    needed = await w.chain.simulate(w.fund_call([(ALICE, 10)]), w.payer.address)
    fees = await w.chain.rpc.fees()
    return (needed + needed // 5) * fees.now * numerator // denominator
