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
from node.renter.money import list_accounts
from node.renter.reports import PaymentResult
from payments.errors import PaymentError
from payments.types import Amount
from settlement.errors import SettlementError
from tests.kill_matrix.actors import STORED, Opened

TOKEN: Final = 10**18
SIZE: Final = 3_000
FILES: Final = 3
LOW: Final = 2 * TOKEN
TOP_UP: Final = 10 * TOKEN
READS: Final = 0.01
"""Part of all rounds in which a file is read."""
REST_SECONDS: Final = 60
FAULTS: Final = (NodeError, PaymentError, SettlementError)
log = logging.getLogger("soak")


async def live(opened: Opened, urls: tuple[str, ...]) -> None:
    """Store, audit, pay, read and fund until death."""
    chance = random.Random(os.getpid())
    while True:
        try:
            await settle_in(opened, urls)
            await work(opened, chance)
        except FAULTS as error:
            log.warning("%s: %s", type(error).__name__, error)
            await asyncio.sleep(0.1)


async def settle_in(opened: Opened, urls: tuple[str, ...]) -> None:
    """Know every farmer, have money with each, and some files."""
    renter = opened.renter
    if len(renter.peers.list()) < len(urls):
        for url in urls:
            await renter.peers.add(url)
    await renter.exits.resume()
    await renter.channels.refresh()
    serving = [one.channel for one in opened.database.read(list_accounts) if one.channel.serving]
    if len(serving) < len(urls) or any(one.deposit - one.promised < LOW for one in serving):
        most = max((one.deposit for one in serving), default=0)
        with suppress(NothingToDo):
            await renter.funding.fund(await renter.funding.plan(amount=Amount(most + TOP_UP)))
    if len(renter.files.ls()) < FILES:
        source = io.BytesIO(secrets.token_bytes(SIZE))
        await renter.files.put(source, secrets.token_hex(8), k=1, n=2, segment_size=SIZE, seconds=STORED)


async def work(opened: Opened, chance: random.Random) -> None:
    """Audit and pay, note what was acknowledged; sometimes read."""
    renter = opened.renter
    report = await renter.audits.audit()
    note(opened, report.payments)
    if chance.random() < READS:
        await renter.files.get(chance.choice(renter.files.ls()).name, io.BytesIO())


async def settle_down(opened: Opened, _urls: tuple[str, ...]) -> None:
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


async def catch_up(opened: Opened, _urls: tuple[str, ...]) -> None:
    """Read the chain."""
    await opened.renter.channels.refresh()


def owing(opened: Opened) -> bool:
    return any(account.owes for account in opened.database.read(list_accounts))


def note(opened: Opened, payments: Iterable[PaymentResult]) -> None:
    """Write down, durably, what farmers have acknowledged."""
    lines = [f"{one.channel.hex()} {one.total}\n" for one in payments if one.delivered]
    if lines:
        with (Path(opened.database.name).parent / "acknowledged").open("a") as file:
            file.write("".join(lines))
            file.flush()
            os.fsync(file.fileno())
