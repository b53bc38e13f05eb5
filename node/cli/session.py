"""What every command finds out first: the home, the chain and the wallet it is about.

Named by an option, else by the configuration, else the only one there is.
"""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from node.cli.errors import NoChain, NoWallet
from node.cli.output import note
from node.errors import DamagedFile
from node.home import Home, read_json, write_json

if TYPE_CHECKING:
    from settlement.client import Chain, TokenInfo
    from settlement.deployment import Deployment

T = TypeVar("T")


def home() -> Home:
    """Return the home of this process."""
    return Home.from_environment(os.environ)


def chain_name(given: str | None) -> str:
    """Name the chain to use. Raises NoChain, with what to do about it."""
    place = home()
    name = given or place.config().chain
    recorded = place.chain_names()
    if name is None and len(recorded) == 1:
        return recorded[0]
    if name is None or name not in recorded:
        raise NoChain(name, tuple(recorded))
    return name


def deployment(given: str | None) -> "Deployment":
    """Load the record of the chain to use."""
    from settlement.deployment import Deployment

    return Deployment.load(home().chain_file(chain_name(given)))


def wallet_name(given: str | None) -> str:
    """Name the wallet to use. Raises NoWallet."""
    place = home()
    name = given or place.config().wallet
    kept = place.wallet_names()
    if name is None and len(kept) == 1:
        return kept[0]
    if name is None or name not in kept:
        raise NoWallet(name, tuple(kept))
    return name


def run(work: Awaitable[T]) -> T:
    """Run a command's asynchronous part."""
    import asyncio

    async def finish() -> T:
        return await work

    return asyncio.run(finish())


def on_chain(given: str | None, work: "Callable[[Chain], Awaitable[T]]", *, may_be_away: bool = False) -> T:
    """Connect to the chain to use, verify that it is the recorded one, and run `work` with it.

    `may_be_away`: where its node does not answer, `work` gets it unverified, to go by this home's books.
    """

    async def connected() -> T:
        async with await _connect(deployment(given), may_be_away=may_be_away) as chain:
            return await work(chain)

    return run(connected())


async def _connect(record: "Deployment", *, may_be_away: bool) -> "Chain":
    from settlement.client import Chain
    from settlement.errors import ChainUnreachable
    from settlement.rpc import Rpc

    try:
        return await Chain.connect(record.url, record)
    except ChainUnreachable as err:
        if not may_be_away or known_token(record) is None:
            raise
        note(f"{err}. Until then, this goes by what was known before.")
        return Chain(await Rpc.open(record.url), record)


_seen: "list[TokenInfo]" = []
"""The token of this command, for the sentence of an error."""


def token_seen() -> "TokenInfo | None":
    """How the token this command deals in wants to be shown, if it came to know."""
    return _seen[-1] if _seen else None


async def token_info(chain: "Chain", *, may_be_away: bool = False) -> "TokenInfo":
    """Ask how the token wants to be shown, and remember it for when the chain is away."""
    known = known_token(chain.deployment)
    if may_be_away and known is not None:  # a token does not change its name
        info = known
    else:
        info = await chain.token_info()
    _seen.append(info)
    if known != info:
        shown = {"symbol": info.symbol, "decimals": info.decimals}
        write_json(_token_file(chain.deployment), shown)
    return info


def known_token(record: "Deployment") -> "TokenInfo | None":
    """How the token wanted to be shown the last time, without asking the chain."""
    from settlement.client import TokenInfo

    try:
        known = read_json(_token_file(record))
        return TokenInfo(record.token, str(known["symbol"]), int(known["decimals"]))
    except (FileNotFoundError, DamagedFile, KeyError, TypeError, ValueError):
        return None


def _token_file(record: "Deployment") -> Path:
    return home().root / "chains" / "tokens" / f"{record.folder}-{record.token.hex()}.json"


def chain_names(incomplete: str) -> list[str]:
    """Complete the name of a chain."""
    return [name for name in home().chain_names() if name.startswith(incomplete)]


def wallet_names(incomplete: str) -> list[str]:
    """Complete the name of a wallet."""
    return [name for name in home().wallet_names() if name.startswith(incomplete)]
