"""Real chains for the tests of settlement: one Anvil and one Ganache a module, embedded ones on demand."""

from collections.abc import Callable, Iterator

import pytest
from web3.providers import AsyncBaseProvider

from settlement.database import Database
from settlement.local_chain import ChainKind, LocalChain, embedded
from settlement.tables import TABLES
from tests.databases import Place, place_of

Endpoint = Callable[[], str | AsyncBaseProvider]


@pytest.fixture(scope="module")
def anvil() -> Iterator[LocalChain]:
    """Anvil with short blocks."""
    with LocalChain.start(ChainKind.ANVIL, block_time=0.1) as chain:
        yield chain


@pytest.fixture(scope="module")
def ganache() -> Iterator[LocalChain]:
    """Ganache, a block a transaction."""
    with LocalChain.start(ChainKind.GANACHE, block_time=0) as chain:
        yield chain


@pytest.fixture(params=list(ChainKind))
def endpoint(request: pytest.FixtureRequest) -> Endpoint:
    """Each kind of chain in turn."""
    if request.param is ChainKind.EMBEDDED:
        return embedded
    chain: LocalChain = request.getfixturevalue(request.param.value)
    return lambda: chain.url


@pytest.fixture
def still_anvil() -> Iterator[LocalChain]:
    """Anvil that mines on demand only: what is sent stays in the pool."""
    with LocalChain.start(ChainKind.ANVIL, block_time=100_000) as chain:
        yield chain


@pytest.fixture(scope="module")
def instant_anvil() -> Iterator[LocalChain]:
    """Anvil with a block for each transaction and none between: block numbers are the test's own.

    One transaction at a time is in flight here, which automine bears.
    """
    with LocalChain.start(ChainKind.ANVIL, block_time=0) as chain:
        yield chain


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Place:
    """SQLite, unless a test is marked `on_both`."""
    return place_of(request)


@pytest.fixture
def database(place: Place) -> Iterator[Database]:
    opened = place.open(TABLES)
    yield opened
    opened.close()
