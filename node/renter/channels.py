"""The renter's channels: what they hold, and how a farmer gets to know them.

A channel found on the chain that this renter did not plan itself (a cold wallet funded it, or the state was
lost) is adopted: its payee tells the farmer, its salt the life. But only if its payer is ours: anybody can
open a channel in our signer's name, and its payer could take the deposit back under our vouchers.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Final

from node.agreement import sign_node_key
from node.audit import challenge_digest, verify_proof
from node.db import Connection
from node.db.renter_purses import load_purse, save_purse
from node.db.restoration import awaits_chain, load_restoration, note_chain_read, thaw
from node.errors import NodeError
from node.messages import (
    ChannelView,
    OpenChannel,
    PayVoucher,
    ProvenMessage,
    SignedVoucherMessage,
    TermsMessage,
)
from node.renter.adoption import adopt_strays, find_strays, our_payers
from node.renter.arrears import book_as_paid, prepaid_of, total_due, unpaid_time
from node.renter.context import Context
from node.renter.errors import NothingToDo, NotReconciled, UnknownChannel
from node.renter.money import (
    Account,
    find_claimed,
    list_accounts,
    load_account,
    pass_audit,
    recall_paid,
    recall_proven,
    reissue,
)
from node.renter.peers import Peers
from node.renter.reports import ChannelInfo
from node.transport import PeerBrokeRules, PeerRefused
from payments.errors import AboveDeposit, PaymentError
from payments.types import Address, Amount, ChannelId, NodeId, Timestamp
from settlement.errors import ChainError
from settlement.tables import list_channels
from settlement.watcher import News, Watcher

FORGOTTEN: Final = frozenset({"UNKNOWN_CHANNEL", "NO_CHANNEL"})
"""The farmer does not know the channel: it was never presented, or the farmer lost its books."""
ON_CHAIN: Final = "proven to the contract"


class Channels:
    """The renter's channels, on the chain and in its books."""

    def __init__(self, context: Context, peers: Peers) -> None:
        self._context = context
        self._peers = peers
        keys = context.keys
        self._watcher = Watcher(
            context.database,
            context.chain,
            payers=[keys.payer, *keys.payers],
            signers=[keys.signer.address],
        )

    async def refresh(self) -> News:
        """Read the chain's news into the channels, and adopt channels that turn up. Raises ChainError."""
        news = await self._watcher.poll()
        await self._watcher.acknowledge(news.effects)
        await self._adopt()
        database, now = self._context.database, self._context.now()
        if database.read(_has_news):
            await database.write(lambda conn: _believe(conn, now))
        return news

    async def adopt(self, payer: Address) -> tuple[ChannelInfo, ...]:
        """Take over the channels that this address has funded in our signer's name; they and it are ours now.

        Those of farmers that are not known yet stay where they are. Raises NothingToDo, ChainError.
        """
        before = {info.channel.id for info in self.list() if info.farmer is not None}
        await self.refresh()
        await self._adopt(payer)
        found = (info for info in self.list() if info.farmer is not None)
        adopted = tuple(info for info in found if info.channel.id not in before)
        if not adopted:
            raise NothingToDo("adopt", f"0x{payer.hex()} has funded no channel of ours to a farmer you know")
        return adopted

    def list(self) -> tuple[ChannelInfo, ...]:
        """Return every channel that we or our payers have opened, those to unknown farmers too."""
        return self._context.database.read(lambda conn: tuple(_infos(conn, self._context)))

    def show(self, channel: ChannelId) -> ChannelInfo:
        """Return one channel. Raises UnknownChannel."""
        for info in self.list():
            if info.channel.id == channel:
                return info
        raise UnknownChannel(channel)

    async def withdrawal_opens(self, channel: ChannelId) -> Timestamp | None:
        """Read from the chain from when on (chain time) the rest can be taken; None before a close request.

        Raises ChainError.
        """
        (state,) = await self._context.chain.channel_states([channel])
        return state.closes_at or None

    # Farmers

    async def meet(self, account: Account) -> Account:
        """Learn what the farmer holds of a channel before anything is signed in it; the chain comes first.

        Raises NotReconciled where the chain is needed and does not answer, and as `present` does.
        """
        channel = account.channel.id
        if self._context.database.read(awaits_chain):
            await self._read_chain(account.farmer)
        try:
            return await self._show(account)
        except AboveDeposit:  # our books are older than a top-up
            await self._read_chain(account.farmer)
            return await self._show(self._context.database.read(lambda conn: load_account(conn, channel)))

    async def _read_chain(self, farmer: NodeId) -> None:
        try:
            await self.refresh()
        except ChainError as error:
            raise NotReconciled(farmer, str(error)) from error

    async def _show(self, account: Account) -> Account:
        channel = account.channel.id
        if not account.purse.presented:
            return await self.present(channel)
        try:
            return await self.ask(channel)
        except PeerRefused as refusal:
            if refusal.error not in FORGOTTEN:
                raise
            return await self.present(channel)

    async def present(self, channel: ChannelId) -> Account:
        """Make a channel known to its farmer, and learn what the farmer holds of ours. May be repeated.

        Raises the transport's errors, UnknownPeer, UnknownChannel, PaymentError.
        """
        context = self._context
        account = context.database.read(lambda conn: load_account(conn, channel))
        signature = sign_node_key(context.domain, context.node, context.keys.signer)
        message = OpenChannel(terms=TermsMessage.of(account.channel.terms), node_key_signature=signature)
        target = self._peers.target(account.farmer)
        view = await context.transport.post(target, "/v1/channels", message, ChannelView)
        return await self.reconcile(account.farmer, view, presented=True)

    async def ask(self, channel: ChannelId) -> Account:
        """Ask the farmer what it holds of a channel and learn from it. Raises as `present` does."""
        account = self._context.database.read(lambda conn: load_account(conn, channel))
        target = self._peers.target(account.farmer)
        path = f"/v1/channels/0x{channel.hex()}"
        view = await self._context.transport.get(target, path, ChannelView)
        return await self.reconcile(account.farmer, view)

    async def reconcile(self, farmer: NodeId, view: ChannelView, *, presented: bool = False) -> Account:
        """Believe our own signatures that a farmer shows, a conditional one with its proof only.

        Raises PeerBrokeRules, PaymentError.
        """
        context = self._context
        channel = ChannelId(view.channel_id)
        paid = view.paid.core() if view.paid else None
        if paid is not None and (paid.voucher.conditional or paid.voucher.channel_id != channel):
            raise PeerBrokeRules(farmer, "it shows a voucher of another kind as payment")
        if view.proven is not None:
            await self.learn_proof(farmer, channel, view.proven)

        def work(conn: Connection) -> Account:
            if paid is not None:
                recall_paid(conn, context.pen, paid)
            purse = load_purse(conn, channel)
            if presented and purse is not None and not purse.presented:
                save_purse(conn, replace(purse, presented=True))
            self._thaw(conn, farmer, view)
            return load_account(conn, channel)

        account = await context.database.write(work)
        await self._hand_over(account, view)
        return account

    def _thaw(self, conn: Connection, farmer: NodeId, view: ChannelView) -> None:
        """End the frozen state of a restored channel whose farmer has shown what it holds.

        What the farmer says is owed is the most we agree to owe for the time that our copy knows nothing of.
        """
        restoration, channel = load_restoration(conn), ChannelId(view.channel_id)
        if restoration is None or not restoration.chain_read or not thaw(conn, channel):
            return
        account = load_account(conn, channel)
        reissue(conn, self._context.pen, account.channel)
        owed = unpaid_time(conn, farmer, prepaid_of(account.purse), self._context.now())
        book_as_paid(conn, owed, max(0, total_due(owed) - view.exposure))

    async def _hand_over(self, account: Account, view: ChannelView) -> None:
        """Send our newest payment once more to a farmer that has lost it, or does not trust its own books."""
        paid, shown = account.purse.paid, view.paid.core().total if view.paid else 0
        if paid is None or not (view.restored or shown < account.purse.delivered):
            return
        message = PayVoucher(voucher=SignedVoucherMessage.of(paid))
        with suppress(NodeError):  # it asks again, and is shown it with the next audit
            target = self._peers.target(account.farmer)
            await self._context.transport.post(target, "/v1/vouchers", message, ChannelView)

    async def learn_proof(self, farmer: NodeId, channel: ChannelId, shown: ProvenMessage) -> Amount:
        """Verify a proof that a farmer holds and book what it earned. Raises PeerBrokeRules, PaymentError."""
        context, now = self._context, self._context.now()
        voucher, challenge, proof = shown.voucher.core(), shown.challenge.core(), shown.proof.core()
        if voucher.voucher.channel_id != channel:
            raise PeerBrokeRules(farmer, "its evidence is of another channel")
        if voucher.voucher.condition != challenge_digest(context.domain, challenge):
            raise PeerBrokeRules(farmer, "its challenge is not the condition of its voucher")
        if not all(verdict.good for verdict in verify_proof(challenge, proof)):
            raise PeerBrokeRules(farmer, "its proof does not verify")
        try:
            return await context.database.write(
                lambda conn: recall_proven(conn, context.pen, voucher, challenge, now)
            )
        except PaymentError as error:
            raise PeerBrokeRules(farmer, f"its evidence does not hold: {error}") from error

    async def _adopt(self, *named: Address) -> None:
        """Give channels of our payers, and of those `named`, a purse, as far as their farmers are known."""
        context = self._context
        if context.database.read(lambda conn: find_strays(conn, context, named)):
            farmers = {peer.payee: peer.node for peer in self._peers.list()}
            await context.database.write(lambda conn: adopt_strays(conn, context, farmers, named))


def _has_news(conn: Connection) -> bool:
    return bool(find_claimed(conn)) or awaits_chain(conn)


def _believe(conn: Connection, now: Timestamp) -> None:
    """Pass what a farmer has proven to the contract only; a restored renter has read the chain now."""
    for audit in find_claimed(conn):
        pass_audit(conn, audit.audit_id, now, ON_CHAIN)
    if awaits_chain(conn):
        note_chain_read(conn)


def _infos(conn: Connection, context: Context) -> Iterable[ChannelInfo]:
    known = {account.channel.id: account for account in list_accounts(conn)}
    payers = our_payers(context, known.values())
    for channel in list_channels(conn, signer=context.keys.signer.address):
        account = known.get(channel.id)
        if account is None and channel.terms.payer not in payers:
            continue  # a stranger's
        purse = account.purse if account else None
        yield ChannelInfo(
            channel=channel,
            farmer=purse.farmer if purse else None,
            life=purse.life if purse else None,
            paid=purse.paid_total if purse else Amount(0),
            withdrawal_opens=channel.closes_at or None,
        )
