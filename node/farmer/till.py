"""The till: takes vouchers, sells reads, and tells what a channel has come to.

Every step that changes books is one function on one transaction of the money database, so vouchers of one
channel are taken one after another, and all that arrive together share a commit. What is returned is on disk.
"""

from dataclasses import replace

from node.agreement import Agreement
from node.db import Connection
from node.db.farmer import Held, Purchase, load_held, load_purchase, save_book, save_purchase
from node.farmer.errors import ReadOutOfBounds
from node.farmer.farm import Farm, Page, check_exposure, load_page, owed
from node.farmer.shelf import stored_agreement
from node.messages import (
    ChallengeMessage,
    ChannelView,
    ProofMessage,
    ProvenMessage,
    SignedVoucherMessage,
)
from payments.ledger import Accepted, accept_payment
from payments.prices import read_price
from payments.types import MIB, Address, Amount, ChannelId, NodeId, Timestamp
from payments.vouchers import SignedVoucher, voucher_signer
from settlement.tables import save_promise

_NOTHING = Amount(0)


async def take_voucher(farm: Farm, node: NodeId, signed: SignedVoucher) -> ChannelView:
    """Take an unconditional voucher, for proven work or ahead of it. Raises PaymentError, UnknownChannel."""
    now = farm.now()
    signer = voucher_signer(farm.domain, signed)

    def step(conn: Connection) -> tuple[Accepted, ChannelView]:
        page = load_page(conn, signed.voucher.channel_id, node)
        accepted, after = bank(conn, farm, page, signed, signer=signer)
        return accepted, view(conn, farm, after, now)

    accepted, seen = await farm.database.write(step)
    told(farm, accepted)
    return seen


async def sell_read(
    farm: Farm, node: NodeId, agreement: bytes, *, offset: int, length: int, payment: SignedVoucher
) -> bytes:
    """Sell up to 1 MiB of a shard; a voucher buys the same bytes as often as they are asked for.

    The bytes are read before the voucher is taken: nobody pays for what the disk does not give. Raises
    PaymentError, PaymentRequired, NotFound, ReadOutOfBounds, AgreementRefused, ShardMissing, ShardDamaged.
    """
    now = farm.now()
    record = farm.database.read(lambda conn: stored_agreement(conn, agreement, node, now))
    _check_range(record.agreement, offset, length)
    data = await farm.run(farm.store.read, agreement, offset, length)
    wanted = Purchase(payment.total, agreement, offset, length)
    price = read_price(record.agreement.download_price, length)

    def step(conn: Connection) -> Accepted | None:
        page = load_page(conn, payment.voucher.channel_id, node)
        if load_purchase(conn, page.channel.id, payment.total) == wanted:
            return None
        check_exposure(conn, farm, page.account, now)
        accepted, _ = bank(conn, farm, page, payment, spent=price)
        if price:
            save_purchase(conn, page.channel.id, wanted)
        return accepted

    accepted = await farm.database.write(step)
    if accepted is not None:
        told(farm, accepted)
    farm.stats.count("bytes_sold", length)
    return data


def bank(
    conn: Connection,
    farm: Farm,
    page: Page,
    signed: SignedVoucher,
    *,
    spent: Amount = _NOTHING,
    signer: Address | None = None,
) -> tuple[Accepted, Page]:
    """Put an unconditional voucher into the books. Raises PaymentError, and then nothing has changed."""
    accepted = accept_payment(
        farm.domain,
        page.channel,
        page.earnings,
        signed,
        storage_rate=page.account.storage_rate,
        spent=spent,
        signer=signer,
    )
    return accepted, enter(conn, page, accepted, farm.now())


def enter(conn: Connection, page: Page, accepted: Accepted, now: Timestamp) -> Page:
    """Write what a voucher has changed."""
    book = replace(page.book, earnings=accepted.earnings)
    if not book.unclaimed_since and accepted.earnings.covered > accepted.channel.claimed:
        book = replace(book, unclaimed_since=now)
    if accepted.channel != page.channel:
        save_promise(conn, accepted.channel)
    if book != page.book:
        save_book(conn, book)
    return replace(page, channel=accepted.channel, book=book)


def told(farm: Farm, accepted: Accepted) -> None:
    """Count a voucher, and have it claimed at once where its channel closes."""
    farm.stats.count("vouchers_accepted")
    if accepted.channel.closes_at:
        farm.claims_due.set()


def view(conn: Connection, farm: Farm, page: Page, now: Timestamp) -> ChannelView:
    """Tell the renter how its channel stands, with the evidence that a restored renter needs."""
    earnings, channel = page.earnings, page.channel
    held = load_held(conn, channel.id) if earnings.unpaid else None
    exposed = owed(conn, page.account, now)
    return ChannelView(
        channel_id=channel.id,
        deposit=channel.deposit,
        claimed=channel.claimed,
        closes_at=channel.closes_at or None,
        paid=SignedVoucherMessage.of(earnings.paid) if earnings.paid else None,
        proven=evidence(earnings.proven, held) if earnings.proven and held else None,
        exposure=exposed,
        serving=channel.serving and exposed <= farm.config.max_exposure,
    )


def see_channel(farm: Farm, node: NodeId, channel: ChannelId) -> ChannelView:
    """Tell how a channel stands. Raises UnknownChannel."""
    now = farm.now()
    return farm.database.read(lambda conn: view(conn, farm, load_page(conn, channel, node), now))


def evidence(proven: SignedVoucher, held: Held) -> ProvenMessage:
    """Show a conditional voucher with what makes it good."""
    return ProvenMessage(
        voucher=SignedVoucherMessage.of(proven),
        challenge=ChallengeMessage.of(held.challenge),
        proof=ProofMessage.of(held.proof),
    )


def _check_range(agreement: Agreement, offset: int, length: int) -> None:
    if not 1 <= length <= MIB or offset + length > agreement.shard_length:
        raise ReadOutOfBounds(offset, length, agreement.shard_length)
