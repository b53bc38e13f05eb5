"""The lives that a renter leads in the soak: one without end, and one that comes to rest."""

import asyncio
import io
import logging
import os
import random
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from node.errors import NodeError
from node.renter.errors import NothingToDo
from node.renter.money import Account, list_accounts
from node.renter.reports import PaymentResult
from payments.channel import Status
from payments.errors import PaymentError
from payments.types import Amount, ChannelId
from settlement.errors import SettlementError
from tests.kill_matrix.actors import STORED, Opened

TOKEN: Final = 10**18
SIZE: Final = 3_000
FILES: Final = 3
LOW: Final = 2 * TOKEN
TOP_UP: Final = 10 * TOKEN
READS: Final = 0.01
"""Part of all rounds in which a file is read: a farmer remembers 64 in each channel, the judge needs all."""
CLOSES: Final = 0.02
"""Part of all rounds in which a channel is asked back."""
REST_SECONDS: Final = 120
FAULTS: Final = (NodeError, PaymentError, SettlementError)
log = logging.getLogger("soak")


async def live(opened: Opened, urls: tuple[str, ...]) -> None:
    """Store, audit, pay, read, fund, close and withdraw until death."""
    chance = random.Random(os.getpid())
    while True:
        try:
            await move_in(opened, urls)
            await work(opened, chance)
            serving = with_status(opened, Status.FUNDED)
            if serving and chance.random() < CLOSES:
                await close(opened, [chance.choice(serving).channel.id])
            await withdraw(opened)
        except FAULTS as error:
            log.warning("%s: %s", type(error).__name__, error)
            await asyncio.sleep(0.1)


async def move_in(opened: Opened, urls: tuple[str, ...]) -> None:
    """Know every farmer, have money with each, and some files."""
    renter = opened.renter
    if len(renter.peers.list()) < len(urls):
        for url in urls:
            await renter.peers.add(url)
    await renter.exits.resume()
    await renter.channels.refresh()
    await fund(opened)
    if len(renter.files.ls()) < FILES:
        source = io.BytesIO(secrets.token_bytes(SIZE))
        await renter.files.put(source, secrets.token_hex(8), k=1, n=2, segment_size=SIZE, seconds=STORED)


async def fund(opened: Opened) -> None:
    """Open channels to farmers without one, under the next salt; top up what runs dry."""
    renter = opened.renter
    serving = {one.farmer: one.channel for one in with_status(opened, Status.FUNDED)}
    wanted = [(0, peer.node) for peer in renter.peers.list() if peer.node not in serving]
    wanted += [(one.deposit, node) for node, one in serving.items() if one.free < LOW]
    for deposit in sorted({deposit for deposit, _ in wanted}):
        alike = [node for held, node in wanted if held == deposit]
        with suppress(NothingToDo):
            await renter.funding.fund(await renter.funding.plan(alike, amount=Amount(deposit + TOP_UP)))


async def work(opened: Opened, chance: random.Random) -> None:
    """Audit and pay, note what was acknowledged; sometimes read."""
    renter = opened.renter
    report = await renter.audits.audit()
    note(opened, report.payments)
    if chance.random() < READS:
        await renter.files.get(chance.choice(renter.files.ls()).name, io.BytesIO())


async def close(opened: Opened, channels: list[ChannelId]) -> None:
    """Pay what these channels have earned, as far as their farmers can be reached, and ask them back."""
    renter = opened.renter
    note(opened, await renter.payments.pay_outstanding(channels=channels))
    with suppress(NothingToDo):
        await renter.exits.send(await renter.exits.plan_close(channels))


async def withdraw(opened: Opened) -> None:
    """Take the rest of the channels whose challenge period is over."""
    closing = [one.channel for one in with_status(opened, Status.CLOSING)]
    if not closing:
        return
    now = (await opened.chain.head()).timestamp
    ripe = [channel.id for channel in closing if channel.closes_at <= now]
    if ripe:
        await opened.renter.exits.send(await opened.renter.exits.plan_withdraw(ripe))


async def become_quiet(opened: Opened, _urls: tuple[str, ...]) -> None:
    """Catch up with the chain, have open audits answered, pay what is owed."""
    renter = opened.renter
    async with asyncio.timeout(REST_SECONDS):
        while True:
            await renter.exits.resume()
            await renter.channels.refresh()
            report = await renter.audits.audit()
            note(opened, report.payments)
            note(opened, await renter.payments.pay_outstanding())
            calm = all(result.decided for result in report.results)
            if calm and not opened.renter._outbox.open() and not owing(opened):
                return
            await asyncio.sleep(0.3)


async def leave(opened: Opened, _urls: tuple[str, ...]) -> None:
    """Ask for everything back."""
    await close(opened, [one.channel.id for one in with_status(opened, Status.FUNDED)])


async def take_back(opened: Opened, _urls: tuple[str, ...]) -> None:
    """Take what is left of all that was closed."""
    await opened.renter.channels.refresh()
    await withdraw(opened)


async def catch_up(opened: Opened, _urls: tuple[str, ...]) -> None:
    """Read the chain."""
    await opened.renter.channels.refresh()


def owing(opened: Opened) -> bool:
    return any(account.owes for account in opened.database.read(list_accounts))


def with_status(opened: Opened, status: Status) -> list[Account]:
    """The channels that stand there; the youngest of a farmer last."""
    return [one for one in opened.database.read(list_accounts) if one.channel.status is status]


def note(opened: Opened, payments: Iterable[PaymentResult]) -> None:
    """Write down, durably, what farmers have acknowledged."""
    lines = [f"{one.channel.hex()} {one.total}\n" for one in payments if one.delivered]
    if lines:
        with (Path(opened.database.name).parent / "acknowledged").open("a") as file:
            file.write("".join(lines))
            file.flush()
            os.fsync(file.fileno())
