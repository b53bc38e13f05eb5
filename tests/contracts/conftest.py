"""The three kinds of local chain, as plain web3.py sees them."""

from collections.abc import Iterator

import pytest
from web3 import EthereumTesterProvider, HTTPProvider, Web3

from settlement.local_chain import ChainKind, LocalChain


@pytest.fixture(scope="module", params=list(ChainKind))
def web3(request: pytest.FixtureRequest) -> Iterator[Web3]:
    """Each kind in turn, with a block for every transaction."""
    if request.param is ChainKind.EMBEDDED:
        yield Web3(EthereumTesterProvider())
        return
    with LocalChain.start(request.param, block_time=0) as chain:
        yield Web3(HTTPProvider(chain.url))


@pytest.fixture(scope="module")
def tester() -> Web3:
    """An embedded chain."""
    return Web3(EthereumTesterProvider())
