"""Vouchers as a farmer takes them, alone or in company, and what it tells of a channel after them.

Every step that changes books is one function on one transaction of the money database, so vouchers of one
channel are taken one after another. Vouchers that come in together are counted together and share a commit.
What is returned is on disk.
"""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, replace

from node.db import Connection
from node.db.farmer import Held, load_held, save_books
from node.farmer.contract_signers import find_signer
from node.farmer.errors import UnknownChannel
from node.farmer.farm import (
    Account,
    Debt,
    Farm,
    debt_of,
    load_account,
    load_accounts,
    load_debt,
)
from node.farmer.group_queue import GroupQueue
from node.farmer.restored import thaw_channel
from node.messages import (
    ChallengeMessage,
    ChannelView,
    ProofMessage,
    ProvenMessage,
    SignedVoucherMessage,
)
from payments.errors import PaymentError
from payments.ledger import Accepted, accept_payment
from payments.types import Address, Amount, ChannelId, NodeId, Timestamp
from payments.vouchers import SignedVoucher
from settlement.tables import save_promises

_NOTHING = Amount(0)


@dataclass(frozen=True, slots=True)
class Offered:
    """A voucher as it came in: from which renter, and who signed it."""

    node: NodeId
    signed: SignedVoucher
    signer: Address


@dataclass(frozen=True, slots=True)
class Counted:
    """A voucher in the books, and what its renter is told: what it owes, and the proof it has not paid."""

    accepted: Accepted
    account: Account
    debt: Debt
    held: Held | None


class VoucherQueue:
    """Where unconditional vouchers come in, for proven work or ahead of it."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self._queue: GroupQueue[Offered, Counted] = GroupQueue(self._serve)

    async def take(self, node: NodeId, signed: SignedVoucher) -> ChannelView:
        """Take a voucher and tell how its channel stands then. Raises PaymentError, UnknownChannel."""
        counted = await self.count(node, signed)
        return view(self._farm, counted.account, counted.debt, counted.held)

    async def count(self, node: NodeId, signed: SignedVoucher) -> Counted:
        """Take a voucher; it is on disk when this returns. Raises PaymentError, UnknownChannel."""
        offered = Offered(node, signed, await find_signer(self._farm, signed))
        counted = await self._queue.ask(offered)
        told(self._farm, counted.accepted)
        await thaw_channel(self._farm, signed.voucher.channel_id)
        return counted

    async def _serve(self, group: list[Offered]) -> list[Counted | Exception]:
        return await self._farm.database.write(lambda conn: count_vouchers(conn, self._farm, group))


def count_vouchers(conn: Connection, farm: Farm, group: list[Offered]) -> list[Counted | Exception]:
    """Take every voucher of a group in its order, or say why not, and write what has changed."""
    now = farm.now()
    accounts = load_accounts(conn, {offered.node for offered in group})
    for offered in group:
        _find_retired(conn, accounts[offered.node], offered)
    before = {name: account for mine in accounts.values() for name, account in mine.items()}
    answers = [_count(conn, farm, accounts[offered.node], offered, now) for offered in group]
    after = {name: account for mine in accounts.values() for name, account in mine.items()}
    save_accounts(conn, [(before[name], account) for name, account in after.items()])
    return answers


def _find_retired(conn: Connection, accounts: dict[ChannelId, Account], offered: Offered) -> None:
    """Add the voucher's own channel where it is one that counts no more."""
    name = offered.signed.voucher.channel_id
    if name not in accounts:
        with suppress(UnknownChannel):
            accounts[name] = load_account(conn, name, offered.node)


def _count(
    conn: Connection, farm: Farm, accounts: dict[ChannelId, Account], offered: Offered, now: Timestamp
) -> Counted | Exception:
    """Take one voucher; `accounts`, all the renter's channels, are brought up to date."""
    name = offered.signed.voucher.channel_id
    if name not in accounts:
        return UnknownChannel(name)
    try:
        accepted, account = accept(farm, accounts[name], offered.signed, now, signer=offered.signer)
    except PaymentError as refusal:
        return refusal
    accounts[name] = account
    debt = debt_of(farm.config, [one.earnings for one in accounts.values()], account.sums, now)
    return Counted(accepted, account, debt, load_held(conn, name) if account.earnings.unpaid else None)


def bank(
    conn: Connection,
    farm: Farm,
    account: Account,
    signed: SignedVoucher,
    *,
    spent: Amount = _NOTHING,
    signer: Address | None = None,
) -> tuple[Accepted, Account]:
    """Put an unconditional voucher into the books. Raises PaymentError, and then nothing has changed."""
    accepted, after = accept(farm, account, signed, farm.now(), spent=spent, signer=signer)
    save_accounts(conn, [(account, after)])
    return accepted, after


def enter(conn: Connection, account: Account, accepted: Accepted, now: Timestamp) -> Account:
    """Write what a voucher has changed."""
    after = credited(account, accepted, now)
    save_accounts(conn, [(account, after)])
    return after


def accept(
    farm: Farm,
    account: Account,
    signed: SignedVoucher,
    now: Timestamp,
    *,
    spent: Amount = _NOTHING,
    signer: Address | None = None,
) -> tuple[Accepted, Account]:
    """Take an unconditional voucher; nothing is written yet. Raises PaymentError."""
    accepted = accept_payment(
        farm.domain,
        account.channel,
        account.earnings,
        signed,
        storage_rate=account.sums.storage_rate,
        spent=spent,
        signer=signer,
    )
    return accepted, credited(account, accepted, now)


def credited(account: Account, accepted: Accepted, now: Timestamp) -> Account:
    """Put what a voucher has changed on the account; the same account if it brought nothing."""
    if accepted.earnings is account.earnings:
        return account
    waiting = account.book.unclaimed_since
    if not waiting and accepted.earnings.covered > accepted.channel.claimed:
        waiting = now
    book = replace(account.book, earnings=accepted.earnings, unclaimed_since=waiting)
    return replace(account, channel=accepted.channel, book=book)


def save_accounts(conn: Connection, changes: Collection[tuple[Account, Account]]) -> None:
    """Write the accounts, each given as it was and as it is, that have changed."""
    save_promises(conn, [after.channel for before, after in changes if after.channel is not before.channel])
    save_books(conn, [after.book for before, after in changes if after.book is not before.book])


def told(farm: Farm, accepted: Accepted) -> None:
    """Count a voucher, and have it claimed at once where its channel closes."""
    farm.stats.count("vouchers_accepted")
    if accepted.channel.closes_at:
        farm.claims_due.set()


def view(farm: Farm, account: Account, debt: Debt, held: Held | None) -> ChannelView:
    """Tell the renter how its channel stands, with the evidence that a restored renter needs.

    debt: over all its channels. held: the proof of work it has not paid, if there is any.
    """
    earnings, channel = account.earnings, account.channel
    return ChannelView(
        channel_id=channel.id,
        deposit=channel.deposit,
        claimed=channel.claimed,
        closes_at=channel.closes_at or None,
        paid=SignedVoucherMessage.of(earnings.paid) if earnings.paid else None,
        proven=evidence(earnings.proven, held) if earnings.proven and held else None,
        exposure=debt.exposed,
        serving=channel.serving and not debt.over,
        restored=channel.id in farm.frozen,
    )


async def see_channel(farm: Farm, node: NodeId, channel: ChannelId) -> ChannelView:
    """Tell how a channel stands. Raises UnknownChannel."""
    now = farm.now()

    def look(conn: Connection) -> ChannelView:
        account = load_account(conn, channel, node)
        held = load_held(conn, channel) if account.earnings.unpaid else None
        return view(farm, account, load_debt(conn, farm.config, account.sums, now, account), held)

    return await farm.run(farm.database.read, look)


def evidence(proven: SignedVoucher, held: Held) -> ProvenMessage:
    """Show a conditional voucher with what makes it good."""
    return ProvenMessage(
        voucher=SignedVoucherMessage.of(proven),
        challenge=ChallengeMessage.of(held.challenge),
        proof=ProofMessage.of(held.proof),
    )
