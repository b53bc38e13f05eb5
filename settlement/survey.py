"""The survey of a chain's endpoints: who is up, on the recorded chain, abreast of the others, and honest.

With one endpoint there is nobody to compare it with, and nothing is asked. Of several, one that is down or
behind is put aside until it is well again; so is one that shows another chain, another block at a confirmed
height, or other logs. Of two that contradict each other, the one that agrees with what was seen before is
believed, then the one named first.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from payments.types import Address
from settlement.answers import Block, Log, may_hold
from settlement.deployment import Deployment
from settlement.endpoint import Endpoint
from settlement.errors import (
    ChainError,
    ChainUnreachable,
    DeploymentError,
    NodeRefused,
    WrongChain,
    WrongGenesis,
)
from settlement.rpc import Rpc

SURVEY_SECONDS: Final = 5.0
"""How long a survey holds."""
LOOK_SECONDS: Final = 5.0
"""How long an endpoint may take to show its newest block."""
MAX_LAG: Final = 8
"""Blocks an endpoint may be behind the others."""
DISTRUST_SECONDS: Final = 600.0
"""How long an endpoint is not used after it hid or invented logs."""


@dataclass(frozen=True, slots=True)
class _View:
    """One endpoint, alone, and the newest block it shows."""

    rpc: Rpc
    head: Block

    @property
    def endpoint(self) -> Endpoint:
        return self.rpc.endpoints[0]


class Survey:
    """Keeps an eye on the endpoints of one deployment."""

    def __init__(self, rpc: Rpc, deployment: Deployment) -> None:
        self._rpc = rpc
        self._deployment = deployment
        self._identified: set[Endpoint] = set()
        self._seen: tuple[int, bytes] | None = None
        self._until = 0.0

    async def renew(self) -> None:
        """Look at all endpoints again, unless it was done just now. Raises DeploymentError if none fits."""
        if len(self._rpc.endpoints) == 1 or time.monotonic() < self._until:
            return
        looks = await asyncio.gather(*map(self._look, self._rpc.apart()), return_exceptions=True)
        views = [look for look in looks if isinstance(look, _View)]
        fitting = await self._agreeing(_abreast(views))
        for view in fitting:
            view.endpoint.take_back()
        if all(endpoint.lies for endpoint in self._rpc.endpoints):
            raise next((look for look in looks if isinstance(look, DeploymentError)), self._nobody())
        self._until = time.monotonic() + SURVEY_SECONDS

    async def _look(self, rpc: Rpc) -> _View:
        """Ask one endpoint alone for its newest block, and at first for the chain it is on."""
        endpoint = rpc.endpoints[0]
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                if endpoint not in self._identified:
                    await self._identify(rpc)
                    self._identified.add(endpoint)
                return _View(rpc, await _block(rpc, "latest"))
        except (ChainError, TimeoutError) as err:
            self._identified.discard(endpoint)
            endpoint.put_aside(err, lies=isinstance(err, DeploymentError))
            raise

    async def _identify(self, rpc: Rpc) -> None:
        record = self._deployment
        chain_id = await rpc.chain_id()
        if chain_id != record.chain_id:
            raise WrongChain(rpc.url, record.chain_id, chain_id)
        genesis = await _block(rpc, 0)
        if genesis.hash != record.genesis_hash:
            raise WrongGenesis(rpc.url, record.genesis_hash, genesis.hash)

    async def _agreeing(self, views: Sequence[_View]) -> list[_View]:
        """Those that show the same block at the confirmed height; the others are put aside."""
        if not views:
            return []
        height = max(0, min(view.head.number for view in views) - self._deployment.confirmations + 1)
        groups: dict[bytes, list[_View]] = {}
        for view in views:
            try:
                shown = (await _block(view.rpc, height)).hash
            except ChainError as err:
                view.endpoint.put_aside(err)
            else:
                groups.setdefault(shown, []).append(view)
        if not groups:
            return []
        believed = await self._believed(groups)
        for shown, group in groups.items():
            for view in group:
                if shown != believed:
                    fault = f"it shows another block {height} than others (0x{shown.hex()[:8]}...)"
                    view.endpoint.put_aside(fault, lies=True)
        self._seen = (height, believed)
        return groups[believed]

    async def _believed(self, groups: dict[bytes, list[_View]]) -> bytes:
        """The hash most endpoints show; of equals the one on the chain seen before, then the first named."""
        most = max(map(len, groups.values()))
        tied = [shown for shown, group in groups.items() if len(group) == most]
        if len(tied) > 1 and self._seen is not None:
            number, known = self._seen
            for shown in tied:
                before = await groups[shown][0].rpc.block(number)
                if before is not None and before.hash == known:
                    return shown
        return tied[0]

    def _nobody(self) -> ChainUnreachable:
        said = "; ".join(f"{endpoint.name}: {endpoint.fault}" for endpoint in self._rpc.endpoints)
        return ChainUnreachable(self._rpc.url, said)


def _abreast(views: Sequence[_View]) -> list[_View]:
    """Put those aside that lag. Of three or more, one that runs ahead alone sets no standard."""
    heads = sorted((view.head.number for view in views), reverse=True)
    newest = 0 if not heads else heads[1] if len(heads) > 2 else heads[0]  # noqa: PLR2004 - a majority
    for view in views:
        if newest - view.head.number > MAX_LAG:
            view.endpoint.put_aside(f"it is {newest - view.head.number} blocks behind")
    return [view for view in views if newest - view.head.number <= MAX_LAG]


async def compare_logs(rpc: Rpc, address: Address, first: int, last: int) -> list[Log]:
    """Logs of a contract in these blocks, as two endpoints show them where there are two in use.

    One that hides or invents logs of a block both have is put aside. Raises ChainError.
    """
    used = [Rpc([endpoint]) for endpoint in rpc.endpoints if not endpoint.fault]
    found = await rpc.logs(address, first, last)
    if len(used) == 1:
        return found
    try:
        theirs = await used[1].logs(address, first, last)
    except ChainError:
        return found  # it is asked again by the next survey
    for number in sorted({log.block_number for log in set(found) ^ set(theirs)}):
        culprit = await _culprit(used, address, number, [_count(logs, number) for logs in (found, theirs)])
        if culprit is not None:
            fault = f"its logs of block {number} are not those of the block"
            used[culprit].endpoints[0].put_aside(fault, lies=True, seconds=DISTRUST_SECONDS)
            return theirs if culprit == 0 else found
    return found


async def _culprit(used: Sequence[Rpc], address: Address, number: int, counts: Sequence[int]) -> int | None:
    """Which of two endpoints is wrong about a block; None when they are not on one chain just now."""
    ours, theirs = await used[0].block(number), await used[1].block(number)
    if ours is None or theirs is None or ours.hash != theirs.hash:
        return None
    if may_hold(ours.bloom, address):
        return 0 if counts[0] < counts[1] else 1
    return 0 if counts[0] else 1


def _count(logs: Sequence[Log], number: int) -> int:
    return sum(log.block_number == number for log in logs)


async def check_blooms(rpc: Rpc, address: Address, blocks: Sequence[Block], logs: Sequence[Log]) -> None:
    """Hold logs against the filters of their blocks, and where one has more, against its receipts.

    Raises ChainUnreachable for logs that are missing, as nodes index late, or that no block holds.
    """
    shown = {log.block_number for log in logs}
    for block in blocks:
        possible = may_hold(block.bloom, address)
        hidden = possible and block.bloom and block.number not in shown and await _holds(rpc, address, block)
        if hidden or (block.number in shown and not possible):
            fault = f"its logs of block {block.number} are not those of the block"
            if len(rpc.endpoints) > 1:
                rpc.current.put_aside(fault, lies=True, seconds=DISTRUST_SECONDS)
            raise ChainUnreachable(rpc.url, fault)


async def _holds(rpc: Rpc, address: Address, block: Block) -> bool:
    """Whether a receipt of the block has logs of the contract."""
    for sent in await rpc.transactions(block.number):
        receipt = await rpc.receipt(sent.hash)
        if receipt is not None and any(log.address == address for log in receipt.logs):
            return True
    return False


async def _block(rpc: Rpc, number: int | str) -> Block:
    try:
        block = await rpc.block(number)
    except NodeRefused as err:
        raise ChainUnreachable(rpc.url, str(err)) from err
    if block is None:
        raise ChainUnreachable(rpc.url, f"the node has no block {number}")
    return block
