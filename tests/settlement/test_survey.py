"""Several endpoints of one chain: who is down, behind or lying is named and not used, and may come back."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from settlement import rpc as rpc_module
from settlement import survey as survey_module
from settlement.chain_events import ChannelFunded
from settlement.client import Chain
from settlement.database import Database
from settlement.errors import ChainUnreachable, WrongChain
from settlement.local_chain import LocalChain, mine
from settlement.outbox import Outbox
from settlement.rpc import Rpc
from settlement.tables import TABLES
from settlement.watcher import Watcher
from tests.settlement.support import World, all_of, payee, run, world
from tests.settlement.warped import Warp, Warped, behind, down, forked, logs, of_chain, several

ALICE = payee(1)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.at(tmp_path / "money.db", TABLES)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def _always_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey_module, "SURVEY_SECONDS", 0.0)


@asynccontextmanager
async def through(anvil: LocalChain, *warps: Warp | None) -> AsyncIterator[tuple[World, Chain, list[Warped]]]:
    """A world, and its chain through as many endpoints."""
    async with world(anvil.url) as w:
        chain, providers = several(w, *warps)
        async with chain:
            yield w, chain, providers


@pytest.mark.parametrize(
    ("warp", "said"),
    [
        (down, "gone"),
        (behind(20), "it is 20 blocks behind"),
        (of_chain(5), "serves chain 5, the record says 31337"),
        (forked, "it shows another block"),
    ],
)
@pytest.mark.parametrize("place", [0, 2])
def test_a_bad_endpoint_is_named_and_not_used(
    instant_anvil: LocalChain, caplog: pytest.LogCaptureFixture, warp: Warp, said: str, place: int
) -> None:
    async def story() -> None:
        warps: list[Warp | None] = [None, None, None]
        warps[place] = warp
        async with through(instant_anvil, *warps) as (w, chain, providers):
            await chain.verify()
            assert (await chain.head()).number == (await w.chain.head()).number
            bad = chain.rpc.endpoints[place]
            assert said in bad.fault
            providers[place].asked.clear()
            await chain.token_balance(w.payer.address)
            assert providers[place].asked == []
            (line,) = [record.getMessage() for record in caplog.records if bad.name in record.getMessage()]
            assert said in line
            providers[place].warp = None
            await chain.head()
            assert bad.fault == ""
            assert f"used again endpoint={bad.name}" in caplog.text

    run(story())


def test_a_request_goes_on_to_the_next_endpoint(instant_anvil: LocalChain, database: Database) -> None:
    async def story() -> None:
        async with through(instant_anvil, None, None) as (w, chain, providers):
            outbox = Outbox(database, chain)
            key = await outbox.submit("fund", w.fund_call([(ALICE, 10)]), w.payer)
            assert all("eth_sendRawTransaction" in provider.asked for provider in providers)
            providers[0].warp = down
            assert (await outbox.wait(key)).succeeded
            providers[1].warp = down
            with pytest.raises(ChainUnreachable):
                await chain.head()
            providers[0].warp = None
            assert (await chain.head()).number > 0

    run(story())


def test_an_endpoint_that_never_answers_does_not_hold_up_a_request(
    instant_anvil: LocalChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc_module, "PATIENCE_SECONDS", 0.2)

    async def story() -> None:
        async with through(instant_anvil, None, None) as (w, chain, providers):
            providers[0].silent = True
            assert await chain.token_balance(w.payer.address) > 0
            assert "no answer to eth_call" in chain.rpc.endpoints[0].fault
            assert chain.rpc.url == chain.rpc.endpoints[1].url

    run(story())


def test_of_two_that_contradict_each_other_the_one_that_fits_what_was_seen_is_believed(
    instant_anvil: LocalChain,
) -> None:
    async def story() -> None:
        async with through(instant_anvil, None, None) as (_, chain, providers):
            await chain.head()
            providers[0].warp = forked
            await chain.head()
            assert [endpoint.lies for endpoint in chain.rpc.endpoints] == [True, False]

    run(story())


def test_where_every_endpoint_is_of_another_chain_that_is_said(instant_anvil: LocalChain) -> None:
    async def story() -> None:
        async with through(instant_anvil, of_chain(5), of_chain(5)) as (_, chain, _providers):
            with pytest.raises(WrongChain) as caught:
                await chain.verify()
            assert (caught.value.expected, caught.value.actual) == (31337, 5)
            with pytest.raises(ChainUnreachable):
                await chain.token_balance(ALICE)

    run(story())


def _forged(found: list[object]) -> list[object]:
    return [*found, *({**entry, "blockNumber": "0x1"} for entry in found[:1] if isinstance(entry, dict))]


@pytest.mark.parametrize("warp", [logs(lambda _: []), logs(lambda found: found[1:]), logs(_forged)])
@pytest.mark.parametrize("place", [0, 1])
def test_an_endpoint_with_other_logs_is_found_out_by_the_second(
    instant_anvil: LocalChain, database: Database, warp: Warp, place: int
) -> None:
    async def story() -> None:
        warps: list[Warp | None] = [None, None]
        warps[place] = warp
        async with through(instant_anvil, *warps) as (w, chain, _):
            await w.fund((ALICE, 10))
            await w.fund((ALICE, 20))
            await mine(w.chain.rpc, 2)
            found = all_of(ChannelFunded, (await Watcher(database, chain, payees=[ALICE]).poll()).events)
            assert [event.deposit for event in found] == [10, 20]
            await chain.head()
            assert [endpoint.lies for endpoint in chain.rpc.endpoints] == [place == 0, place == 1]

    run(story())


def test_a_lonely_endpoint_that_hides_logs_is_asked_again(
    instant_anvil: LocalChain, database: Database
) -> None:
    async def story() -> None:
        async with through(instant_anvil, logs(lambda _: [])) as (w, chain, providers):
            watcher = Watcher(database, chain, payees=[ALICE])
            await w.fund((ALICE, 10))
            with pytest.raises(ChainUnreachable) as caught:
                await watcher.poll()
            assert "its logs of block" in caught.value.reason
            providers[0].warp = None
            (funded,) = all_of(ChannelFunded, (await watcher.poll()).events)
            assert funded.deposit == 10

    run(story())


def test_urls_are_given_as_a_list() -> None:
    async def story() -> None:
        async with await Rpc.open("http://127.0.0.1:1, http://127.0.0.1:2") as rpc:
            assert [endpoint.name for endpoint in rpc.endpoints] == ["127.0.0.1:1", "127.0.0.1:2"]
            assert rpc.urls == "http://127.0.0.1:1,http://127.0.0.1:2"
        for nonsense in ("", ",", "http://127.0.0.1:1,ws://127.0.0.1:2"):
            with pytest.raises(ChainUnreachable):
                await Rpc.open(nonsense)

    run(story())


def test_names_of_endpoints_hold_no_secret() -> None:
    async def story() -> None:
        async with await Rpc.open("https://user:pass@rpc.example/v3/secret?key=secret") as rpc:
            assert rpc.endpoints[0].name == "rpc.example"

    run(story())
