"""Deeds: what a renter's process does in the matrix, one thing each; the next one does it again.

One that has nothing left to do is done: whoever died over it had done it all but for saying so.
"""

import asyncio
import io
import os
import secrets
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Final
from urllib.request import urlopen

from node.cli import exports
from node.cli.farm_owner import ask_claim, ask_scan, ask_status, ask_take_back
from node.db.renter_shards import ShardState, load_farmer_shards, load_shard
from node.farmer import trash
from node.home import Home, read_json
from node.identity import NodeKey
from node.messages import AgreementMessage, AgreementView, NodeInfo, ProposeAgreement
from node.renter import Renter
from node.renter.accounts import agreement_path
from node.renter.errors import NothingToDo
from node.renter.money import Account, list_accounts
from node.renter.top_ups import TopUpRules
from node.shard_store import ShardStore
from node.transport import Target, Transport
from payments.types import MAX_AMOUNT, Amount, NodeId, Seconds, Timestamp
from settlement.calls import Call
from settlement.database import Database
from settlement.deployment import deploy as deploy_contracts
from settlement.errors import FeeAboveCeiling, Reverted
from settlement.local_chain import dev_keys
from settlement.outbox import Outbox
from tests.kill_matrix.actors import PATIENCE, STORED, Opened

TOKEN: Final = 10**18
SIZE: Final = 3_000
ROUNDS: Final = 100
BRIEF: Final = "brief "
"""What the names of files begin with whose agreements end soon."""


def serving(opened: Opened) -> list[Account]:
    """The renter's channels that take vouchers."""
    return [one for one in opened.database.read(list_accounts) if one.channel.serving]


async def meet(opened: Opened, url: str) -> None:
    await opened.renter.peers.add(url)


async def leave(opened: Opened) -> None:
    for peer in opened.renter.peers.list():
        await opened.renter.peers.remove(peer.node)


async def fund(opened: Opened) -> None:
    """Open a channel, or top it up by ten tokens."""
    await opened.renter.channels.refresh()
    held = max((one.channel.deposit for one in serving(opened)), default=0)
    funding = opened.renter.funding
    await funding.fund(await funding.plan(amount=Amount(held + 10 * TOKEN)))


async def fund_one(opened: Opened, url: str) -> None:
    """Open a channel to the farmer that listens there."""
    peer = await opened.renter.peers.add(url)
    funding = opened.renter.funding
    await funding.fund(await funding.plan([peer.node], amount=Amount(10 * TOKEN)))


async def fund_dearly(opened: Opened) -> None:
    """Try to fund while gas is above the ceiling: the wish stays."""
    with suppress(FeeAboveCeiling):
        await fund(opened)


async def submit_nonsense(opened: Opened) -> None:
    """Queue a call that the contract refuses."""
    outbox = Outbox(opened.database, opened.chain)
    call = Call(opened.chain.deployment.contract, secrets.token_bytes(4))
    with suppress(Reverted):
        await outbox.submit("nonsense", call, opened.keys.payer_key or dev_keys(1)[0])


async def refresh(opened: Opened) -> None:
    """Read the chain's news; the outbox was looked after when the renter was opened."""
    await opened.renter.exits.resume()
    await opened.renter.channels.refresh()


async def tick_outbox(opened: Opened) -> None:
    outbox = Outbox(opened.database, opened.chain)
    await outbox.resume([opened.keys.payer_key] if opened.keys.payer_key else [])


async def present(opened: Opened) -> None:
    for account in serving(opened):
        await opened.renter.channels.present(account.channel.id)


async def ask(opened: Opened) -> None:
    for account in serving(opened):
        await opened.renter.channels.ask(account.channel.id)


async def put(opened: Opened, name: str = "") -> None:
    source, called = io.BytesIO(secrets.token_bytes(SIZE)), name or secrets.token_hex(8)
    await opened.renter.files.put(source, called, k=1, n=1, segment_size=SIZE, seconds=STORED)


async def put_briefly(opened: Opened, name: str) -> None:
    """Store a file whose agreements end soon, and want it for ever; the one before is not wanted any more."""
    for file in opened.renter.files.ls():
        if file.name.startswith(BRIEF):
            await opened.renter.files.rm(file.name)
    source = io.BytesIO(secrets.token_bytes(SIZE))
    await opened.renter.files.put(source, BRIEF + name, k=1, n=1, seconds=Seconds(3_600))
    await keep(opened, BRIEF + name)


async def put_twice(opened: Opened, name: str) -> None:
    """Store a file with both farmers."""
    source = io.BytesIO(secrets.token_bytes(SIZE))
    await opened.renter.files.put(source, name, k=1, n=2, seconds=STORED)


async def keep(opened: Opened, name: str) -> None:
    await opened.renter.files.keep(name, None)


async def renew(opened: Opened) -> None:
    """Renew what is due, after what a killed one has left is gone on with."""
    await opened.renter.repair()
    await opened.renter.renewals.renew()


async def repair(opened: Opened, name: str) -> None:
    await opened.renter.repair([name])


async def audit(opened: Opened) -> None:
    await opened.renter.audits.audit()


async def pay(opened: Opened) -> None:
    await opened.renter.payments.pay_outstanding()


async def get(opened: Opened, name: str = "") -> None:
    await opened.renter.files.get(name or opened.renter.files.ls()[0].name, io.BytesIO())


async def rm(opened: Opened) -> None:
    for file in opened.renter.files.ls()[:1]:
        await opened.renter.files.rm(file.name)
    await opened.renter.tick()


async def rm_newest(opened: Opened, name: str) -> None:
    await opened.renter.files.rm(name)
    await opened.renter.tick()


async def restore_trash(opened: Opened, money: Path, shards: Path) -> None:
    """Take what is in the trash of a farmer that is not running: `tithe farm restore-trash --all`."""
    store = ShardStore(shards / opened.chain.deployment.folder)
    with closing(Database.at(money)) as database:
        names = [one.name for one in store.trash.shards()]
        await trash.take_back(database, store, Timestamp(opened.now), names)


async def end_again(opened: Opened) -> None:
    """End once more what the farmer has taken back: nobody would pay for it."""
    for account in serving(opened):
        farmer = account.farmer
        for shard in opened.database.read(partial(load_farmer_shards, farmer=farmer)):
            if shard.state is ShardState.GONE:
                await opened.renter._deletions._delete(farmer, shard)


async def close(opened: Opened) -> None:
    """Ask for everything back that the renter's own wallet has paid in."""
    await opened.renter.channels.refresh()
    own = [one.channel for one in serving(opened) if one.channel.terms.payer == opened.keys.payer]
    with suppress(NothingToDo):
        exits = opened.renter.exits
        await exits.send(await exits.plan_close([channel.id for channel in own]))


async def withdraw(opened: Opened) -> None:
    """Take what is left of the channels whose time has come."""
    await opened.renter.channels.refresh()
    exits = opened.renter.exits
    closing = [one.channel.id for one in opened.database.read(list_accounts) if one.channel.closes_at]
    await exits.send(await exits.plan_withdraw(closing))


async def run_with_top_ups(opened: Opened, days: int) -> None:
    """`tithe rent run --top-up`, until it has topped up what lasts for fewer days than these."""
    ahead = Seconds(days * 86_400)
    rules = TopUpRules(MAX_AMOUNT, MAX_AMOUNT, ahead, ahead)
    context = opened.renter.peers._context
    async with Renter(
        opened.database,
        opened.chain,
        opened.keys,
        clock=context.clock,
        patience=PATIENCE,
        top_ups=rules,
        limits=context.limits,
    ) as renter:
        for _ in range(ROUNDS):
            report = await renter.tick()
            if report.trouble:
                raise SystemExit(report.trouble)
            if report.topped_up:
                return
            await asyncio.sleep(0.05)


async def ask_shelf(opened: Opened) -> None:
    """Note that every farmer is to be asked for what it keeps."""
    for peer in opened.renter.peers.list():
        await opened.renter.shelf.ask(peer)


async def forget(opened: Opened) -> None:
    """Be a copy of oneself that trusts nothing in it: what `tithe restore` makes of an export."""
    exports._mark(exports.RENTER, Path(opened.database.name), Timestamp(0), opened.now)


async def make_farmer_forget(opened: Opened, money: Path) -> None:
    """The same with a farmer that is not running: `tithe farm restore`."""
    exports._mark(exports.FARMER, money, Timestamp(0), opened.now)


async def reconcile(opened: Opened) -> None:
    """Learn again what a copy does not know."""
    await opened.renter.reconcile()


async def give_gifts(opened: Opened, *amounts: int) -> None:
    """Queue wei for somebody, so many times; nobody waits for it."""
    outbox, key = Outbox(opened.database, opened.chain), opened.keys.payer_key
    assert key is not None
    for amount in amounts:
        await outbox.submit("gift", Call(dev_keys(3)[2].address, b"", amount), key)


async def take_back(opened: Opened, amount: int) -> None:
    """Cancel the gift of so many wei."""
    outbox, key = Outbox(opened.database, opened.chain), opened.keys.payer_key
    assert key is not None
    await outbox.resume([key])
    for queued in outbox.open():
        if queued.call.value == amount:
            await outbox.cancel(queued.id)


async def find_too_dear(opened: Opened) -> None:
    """Want to raise every fee at once, and may not: what is sent has a problem now."""
    outbox, key = Outbox(opened.database, opened.chain, ceiling=1, stuck_seconds=0), opened.keys.payer_key
    assert key is not None
    await outbox.resume([key])


async def see_agreement(opened: Opened) -> None:
    """Ask for an agreement by itself, as no renter of ours does."""
    node, name = _any_agreement(opened)
    async with Transport(opened.keys.node, opened.renter.peers._context.clock) as transport:
        await transport.get(opened.renter.peers.target(node), agreement_path(name), AgreementView)


async def propose(opened: Opened) -> None:
    """Propose an agreement again by itself, as no renter of ours does."""
    node, name = _any_agreement(opened)
    shard = opened.database.read(lambda conn: load_shard(conn, name))
    assert shard is not None
    message = ProposeAgreement(
        agreement=AgreementMessage.of(shard.agreement), renter_signature=shard.renter_signature
    )
    async with Transport(opened.keys.node, opened.renter.peers._context.clock) as transport:
        target = opened.renter.peers.target(node)
        await transport.post(target, "/v1/agreements", message, AgreementView)


async def ask_health(opened: Opened) -> None:
    (peer,) = opened.renter.peers.list()
    async with Transport(opened.keys.node, opened.renter.peers._context.clock) as transport:
        await transport.get(opened.renter.peers.target(peer.node), "/v1/health", NodeInfo)


async def read_metrics(_: Opened, port: int) -> None:
    """What a Prometheus does."""
    await asyncio.to_thread(lambda: urlopen(f"http://127.0.0.1:{port}/metrics").read())


async def own_status(_: Opened, home: Path) -> None:
    """`tithe farm status`, which asks the daemon."""
    os.environ["TITHE_HOME"] = str(home)
    said = await ask_status(_owner(home))
    if said.trouble and "does not answer" in said.trouble[0]:
        raise SystemExit(said.trouble[0])


async def own_claim(_: Opened, home: Path) -> None:
    """`tithe farm claim --all`, which asks the daemon."""
    os.environ["TITHE_HOME"] = str(home)
    await ask_claim(_owner(home), everything=True)


async def own_scan(_: Opened, home: Path) -> None:
    """`tithe farm scan --now`, which asks the daemon."""
    os.environ["TITHE_HOME"] = str(home)
    await ask_scan(_owner(home), lambda _: None)


async def own_trash(_: Opened, home: Path) -> None:
    """`tithe farm restore-trash`, which asks the daemon, of what it has never seen."""
    os.environ["TITHE_HOME"] = str(home)
    await ask_take_back(_owner(home), [bytes(32)])


async def deploy(opened: Opened) -> None:
    """Bring the contracts to the chain, with a token of their own."""
    await deploy_contracts(opened.chain.rpc, dev_keys(3)[2], "another")


def _owner(home: Path) -> Target:
    said = read_json(Home(home).farm_running)
    key = NodeKey(bytes.fromhex(Home(home).farm_node_key.read_text()))
    return Target(key.node, (said["url"],))


def _any_agreement(opened: Opened) -> tuple[NodeId, bytes]:
    file = opened.renter.files.ls()[0]
    shard = opened.renter.files.stat(file.name).shards[0]
    return shard.farmer, shard.agreement
