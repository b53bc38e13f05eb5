"""A claim from thousands of channels at once: funded on a fresh Anvil, followed and claimed by the farmer.

One payer funds them all, each under a salt of its own, so every row names its terms in full, as those of as
many payers would. Every renter is a node of its own with one voucher in the books.
"""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection
from web3.types import RPCEndpoint

from node.db.farmer import Book, add_book
from payments.channel import Channel, VoucherAccepted, apply
from payments.ledger import Earnings
from payments.types import Amount, NodeId, Timestamp
from payments.vouchers import SigningKey, Voucher, channel_salt, sign_voucher
from scripts.farm.books import PAYEE, SIGNER, TABLES
from scripts.farm.restart import Steps, run_child
from scripts.gas.bench import Bench, fresh_bench
from settlement.calls import Call
from settlement.client import Chain
from settlement.database import Database
from settlement.deployment import Deployment, deploy
from settlement.local_chain import dev_keys
from settlement.tables import list_channels, save_promises
from settlement.transactions import send_now
from settlement.watcher import Watcher

DEPOSIT: Final = Amount(1_000)
VOUCHER: Final = Amount(600)
AT_ONCE: Final = 500
"""Transactions that fund, in Anvil's pool together."""
BLOCK_SECONDS: Final = 1
"""Between blocks while the farmer claims."""


@dataclass(frozen=True)
class Claimed:
    """What a claim took. heaviest: gas of the heaviest transaction."""

    channels: int
    transactions: int
    heaviest: int
    steps: Steps


def measure(folder: Path, channels: int) -> Claimed:
    """Fund so many channels, accept a voucher in each, claim them all in a process of its own."""
    folder.mkdir()
    return asyncio.run(_measure(folder, channels))


async def _measure(folder: Path, channels: int) -> Claimed:
    async with fresh_bench() as bench:
        owner = dev_keys(2)[1]
        deployment = await deploy(bench.rpc, owner, "bench")
        deployment.save(folder / "chain.json")
        chain = await Chain.connect(bench.rpc, deployment)
        given = chain.calls.transfer(bench.deployer.address, Amount(channels * DEPOSIT))
        await send_now(bench.rpc, owner, given.to, given.data)
        await _fund(bench, chain, channels)
        await bench.rpc.request("evm_setAutomine", False)
        await bench.rpc.provider.make_request(RPCEndpoint("evm_setIntervalMining"), [BLOCK_SECONDS])
        database = Database.at(folder / "money.db", TABLES)
        await Watcher(database, chain, payees=[PAYEE]).poll()
        known = database.read(lambda conn: list_channels(conn, payee=PAYEE))
        if len(known) != channels:
            raise RuntimeError(f"{len(known)} of {channels} channels were funded")
        database.write_sync(lambda conn: _accept(conn, deployment, known))
        database.close()
        steps, counted = await asyncio.to_thread(run_child, "claim", folder)
    return Claimed(channels, counted["transactions"], counted["heaviest"], steps)


async def _fund(bench: Bench, chain: Chain, channels: int) -> None:
    """Fund channels between the same two, each under another salt."""
    deployment, payer = chain.deployment, bench.deployer
    await bench.send(payer, chain.calls.approve(2**256 - 1))
    salts = [channel_salt(deployment.genesis_hash, life) for life in range(channels)]

    def fund(salt: bytes) -> tuple[SigningKey, Call]:
        return payer, chain.calls.fund(SIGNER.address, deployment.challenge_period, salt, [(PAYEE, DEPOSIT)])

    for start in range(0, channels, AT_ONCE):
        await bench.send_many([fund(salt) for salt in salts[start : start + AT_ONCE]])


def _accept(conn: Connection, deployment: Deployment, channels: Sequence[Channel]) -> None:
    """Put a voucher of another renter into the books of each channel."""
    promised = []
    for channel in channels:
        signed = sign_voucher(deployment.domain, Voucher(channel.id, VOUCHER), SIGNER)
        add_book(
            conn, Book(channel.id, NodeId(os.urandom(32)), Timestamp(1), Earnings(paid=signed), Timestamp(1))
        )
        promised.append(apply(channel, VoucherAccepted(VOUCHER))[0])
    save_promises(conn, promised)
