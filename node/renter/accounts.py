"""How a farmer gets its money: through a channel that is ready, and with its objections removed.

A channel is ready when it is funded, open, and its farmer has shown what it holds of ours, once in the life
of this program: our books may be an old copy, and nothing is signed before that. Objections about money are
removed here, by learning what the farmer has proven, by presenting the channel anew, or by paying what is
owed; then the request is made again.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from node.db import Connection
from node.db.renter_purses import Purse, load_purses, save_purse
from node.db.renter_shards import ShardRecord, load_farmer_shards
from node.db.restoration import is_frozen
from node.hex import to_hex
from node.messages import (
    AgreementMessage,
    AgreementState,
    AgreementView,
    ChannelView,
    CountersignedAgreement,
    PayVoucher,
    SignedVoucherMessage,
)
from node.renter.arrears import Unpaid, book_as_paid, prepaid_of, total_due, unpaid_time
from node.renter.channels import FORGOTTEN, Channels
from node.renter.context import Context
from node.renter.errors import NoOpenChannel
from node.renter.money import (
    Account,
    Payment,
    active_account,
    active_accounts,
    issue_payment,
    issue_read,
    load_account,
    record_delivery,
    record_read,
)
from node.renter.peers import Peers
from node.renter.safety import Prepaid
from node.transport import PeerRefused, Target
from payments.prices import step_rate
from payments.types import Amount, ChannelId, NodeId, Seconds, Timestamp

BEHIND: Final = frozenset({"PAYMENT_TOO_LOW", "PAID_TOO_LOW", "WRONG_STEP"})
"""The farmer has proven or been paid more than we know: it can show that."""
ARREARS: Final = "EXPOSURE_EXCEEDED"
UNAGREED: Final = frozenset({"UNKNOWN_AGREEMENT", "AGREEMENT_NOT_FOUND", "NOT_STORED"})
"""The farmer does not know an agreement: its books may be an old copy, and its own signature reminds it."""
CLOSED: Final = frozenset({"CHANNEL_CLOSING", "CHANNEL_FROZEN", "CHANNEL_NOT_OPEN"})
"""The channel takes no vouchers: true if our own books say so too."""
AWAY: Final = frozenset({"STORE_AWAY", "STORE_OF_ANOTHER"})
"""A farmer says that its disk is not there: as if it were not there itself, and worth no more to it."""
TRANSIENT: Final = (
    BEHIND
    | FORGOTTEN
    | CLOSED
    | {
        ARREARS,
        "ABOVE_DEPOSIT",
        "STEP_ABOVE_EXPOSURE",
        "STALE_REQUEST",
        "WRONG_RUN",
        "RATE_LIMITED",
        "TOO_MANY_REQUESTS",
        "CHALLENGE_TOO_LARGE",
        "BUSY",
    }
)
"""Refusals that may pass, of an honest farmer too: no proof of lost data, and no excuse either."""


SERVER_FAULT: Final = 500
"""The first status by which a farmer says that something is wrong with itself."""


class Accounts:
    """Ready channels, payments that leave, and objections removed."""

    def __init__(self, context: Context, peers: Peers, channels: Channels) -> None:
        self._context = context
        self._peers = peers
        self._channels = channels
        self._met: set[ChannelId] = set()

    def target(self, farmer: NodeId) -> Target:
        """Return where the farmer is. Raises UnknownPeer."""
        return self._peers.target(farmer)

    async def ready(self, farmer: NodeId) -> Account:
        """Return the channel through which this farmer is paid, presented to it.

        Raises NoOpenChannel, UnknownPeer, the transport's errors, PaymentError.
        """
        account = self._context.database.read(lambda conn: active_account(conn, farmer))
        if account is None:
            raise NoOpenChannel(farmer)
        return await self.reconciled(account)

    def active(self) -> dict[NodeId, Account]:
        """Return the channel through which each farmer is paid now, where there is one."""
        return self._context.database.read(active_accounts)

    def known(self, farmer: NodeId) -> Account | None:
        """Return the farmer's channel where it was presented and nothing says that our books are old."""

        def work(conn: Connection) -> Account | None:
            account = active_account(conn, farmer)
            fit = account and account.purse.presented and not is_frozen(conn, account.channel.id)
            return account if fit else None

        return self._context.database.read(work)

    async def reconciled(self, account: Account) -> Account:
        """Learn from the farmer, once in the life of this program, what it holds; the channel as it is then.

        Raises NotReconciled where the chain must be read first and does not answer, and as `ready` does.
        """
        channel = account.channel.id
        if channel not in self._met:
            account = await self._channels.meet(account)
            self._met.add(channel)
        return account

    async def issue_read(self, channel: ChannelId, price: Amount) -> Payment:
        """Sign an unconditional voucher for all earned and one read; it is on disk. See issue_read."""
        context = self._context
        return await context.database.write(lambda conn: issue_read(conn, context.pen, channel, price))

    async def record_read(self, payment: Payment) -> Amount:
        """Book a read that has come; return what it earned the farmer."""
        pen, channel, total = self._context.pen, payment.account.channel.id, payment.voucher.total
        return await self._context.database.write(lambda conn: record_read(conn, pen, channel, total))

    def holds(self, payment: Payment) -> bool:
        """Whether the farmer is known to hold a voucher."""
        channel = payment.account.channel.id
        purse = self._context.database.read(lambda conn: load_account(conn, channel)).purse
        return purse.delivered >= payment.voucher.total

    async def deliver(self, payment: Payment) -> ChannelView:
        """Send an unconditional voucher; what it pays is known to have arrived afterwards.

        Raises the transport's errors, UnknownPeer.
        """
        context, channel = self._context, payment.account.channel.id
        target = self._peers.target(payment.account.farmer)
        message = PayVoucher(voucher=SignedVoucherMessage.of(payment.voucher))
        view = await context.transport.post(target, "/v1/vouchers", message, ChannelView)
        await context.database.write(lambda conn: record_delivery(conn, channel, payment.voucher.total))
        return view

    async def mend(self, account: Account, refusal: PeerRefused) -> bool:
        """Remove an objection about money; tell whether to ask again.

        Raises the transport's errors, Unfunded, PaymentError.
        """
        channel = account.channel.id
        if refusal.error in BEHIND:
            await self._channels.ask(channel)
            return True
        if refusal.error in FORGOTTEN:
            await self._channels.present(channel)
            return True
        if refusal.error == ARREARS:
            return await self._pay_arrears(account, refusal)
        return False

    async def hand_back(self, account: Account, shards: Iterable[ShardRecord]) -> set[bytes]:
        """Remind a farmer of what it has signed and does not know; the agreements it stands by again.

        Of the others it says that it does not have the shard.

        Raises the transport's errors, UnknownPeer, PaymentError.
        """
        taken = set[bytes]()
        for shard in shards:
            if shard.stored and shard.farmer_signature is not None:
                try:
                    view = await self._hand_back(account, shard, shard.farmer_signature)
                except PeerRefused as refusal:
                    if refusal.error in TRANSIENT or refusal.status >= SERVER_FAULT:
                        raise
                else:
                    if view.state is AgreementState.STORED:
                        taken.add(shard.agreement_id)
        return taken

    async def _hand_back(self, account: Account, shard: ShardRecord, signature: bytes) -> AgreementView:
        message = CountersignedAgreement(
            agreement=AgreementMessage.of(shard.agreement),
            renter_signature=shard.renter_signature,
            farmer_signature=signature,
        )
        target, path = self._peers.target(account.farmer), agreement_path(shard.agreement_id)
        presented = False
        while True:
            try:
                return await self._context.transport.post(target, path, message, AgreementView)
            except PeerRefused as refusal:
                if presented or refusal.error not in FORGOTTEN:
                    raise
            await self._channels.present(account.channel.id)
            presented = True

    def ours(self, account: Account, refusal: PeerRefused) -> bool:
        """Tell whether a refusal is our doing by our own books; what a farmer says is no alibi."""

        def work(conn: Connection) -> bool:
            channel = load_account(conn, account.channel.id).channel
            if refusal.error in CLOSED:
                return not channel.serving
            if refusal.error == ARREARS:
                asked, due = _arrears(refusal), total_due(self._unpaid_time(conn, account))
                return 0 < asked <= due and channel.earned + asked > channel.deposit
            return refusal.error == "ABOVE_DEPOSIT" and channel.promised > channel.deposit

        return self._context.database.read(work)

    async def _pay_arrears(self, account: Account, refusal: PeerRefused) -> bool:
        """Pay for the time in which audits were missed, as far as we agree: the farmer serves again then.

        The time is booked as paid in the same transaction, so it cannot be charged twice. What is signed and
        was never delivered goes first: whoever died over it would else be refused for ever.
        """
        context = self._context
        asked = _arrears(refusal)

        def work(conn: Connection) -> Payment | None:
            if load_account(conn, account.channel.id).owes:
                return issue_payment(conn, context.pen, account.channel.id)
            owed = self._unpaid_time(conn, account)
            if not 0 < asked <= total_due(owed):
                return None
            book_as_paid(conn, owed, asked)
            return issue_payment(conn, context.pen, account.channel.id, Amount(asked))

        payment = await context.database.write(work)
        if payment is None:
            return False
        await self.deliver(payment)
        return True

    def _unpaid_time(self, conn: Connection, account: Account) -> Unpaid:
        return unpaid_time(conn, account.farmer, prepaid_of(account.purse), self._context.now())


def usable_prepaid(purse: Purse) -> Prepaid:
    """Return what was paid ahead and is known to have arrived."""
    return prepaid_of(purse) if purse.delivered >= purse.paid_total else Prepaid(Seconds(0), Timestamp(0))


def share_prepaid(conn: Connection, shard: ShardRecord, now: Timestamp) -> None:
    """A shard is stored from now on: what was paid ahead to its farmer has to do for that as well."""
    farmer = shard.agreement.farmer
    ahead = [purse for purse in load_purses(conn, farmer) if prepaid_of(purse).left(now)]
    if not ahead:
        return
    kept = [one.agreement for one in load_farmer_shards(conn, farmer) if one.stored]
    before = Amount(sum(step_rate(terms.step, terms.audit_interval) for terms in kept))
    added = step_rate(shard.agreement.step, shard.agreement.audit_interval)
    for purse in ahead:
        prepaid = prepaid_of(purse).shared(before, Amount(before + added), now)
        save_purse(conn, replace(purse, prepaid_seconds=prepaid.seconds, prepaid_at=prepaid.at))


def share_prepaid_among(conn: Connection, shards: Iterable[ShardRecord], now: Timestamp) -> None:
    """Do as `share_prepaid` for many shards: few farmers, if any, are paid ahead."""
    ahead = {purse.farmer for purse in load_purses(conn) if prepaid_of(purse).left(now)}
    for shard in shards:
        if shard.agreement.farmer in ahead:
            share_prepaid(conn, shard, now)


def agreement_path(agreement: bytes, what: str = "") -> str:
    """Return the path of an agreement, or of something of it, on its farmer."""
    return f"/v1/agreements/{to_hex(agreement)}" + (f"/{what}" if what else "")


def _arrears(refusal: PeerRefused) -> int:
    return _amount(refusal, "exposure") - _amount(refusal, "limit")


def _amount(refusal: PeerRefused, name: str) -> int:
    """Read an amount from a refusal: a number, or digits where it is large; 0 where it makes no sense."""
    value = refusal.values.get(name, 0)
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) < 40 else 0  # noqa: PLR2004
    return value if isinstance(value, int) else 0
