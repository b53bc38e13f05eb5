"""A renter's purses: to whom each of its channels belongs, and the newest unconditional voucher in it.

The channels themselves stand in `settlement.tables`. The voucher is kept so that it can be shown again.
"""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, LargeBinary, Table, bindparam, insert, select, update
from sqlmodel import Field, SQLModel

from payments.types import Amount, ChannelId, NodeId, Seconds, Timestamp, to_amount
from payments.vouchers import SignedVoucher, Voucher
from settlement.database import AmountColumn
from settlement.statements import Statement
from settlement.tables import table


class PurseRow(SQLModel, table=True):
    """The renter's own side of a channel."""

    __tablename__ = "renter_purse"

    channel_id: bytes = Field(primary_key=True, sa_type=LargeBinary)
    farmer: bytes = Field(index=True, sa_type=LargeBinary)
    life: int
    paid: int | None = Field(default=None, sa_type=AmountColumn)
    paid_signature: bytes | None = Field(default=None, sa_type=LargeBinary)
    delivered: int = Field(default=0, sa_type=AmountColumn)
    presented: bool = False
    prepaid_seconds: int = Field(default=0, sa_type=BigInteger)
    prepaid_at: int = Field(default=0, sa_type=BigInteger)


TABLES: Final[tuple[type[SQLModel], ...]] = (PurseRow,)
"""What this module keeps in a renter's money database."""

_PURSES: Final[Table] = table(PurseRow)
_COLUMNS: Final = list(_PURSES.c)
_NAMES: Final = [column.name for column in _COLUMNS]
_KEY: Final = _PURSES.c.channel_id == bindparam("key", type_=_PURSES.c.channel_id.type)
_FARMER: Final = _PURSES.c.farmer == bindparam("key", type_=_PURSES.c.farmer.type)
_ALL: Final = select(*_COLUMNS).order_by(_PURSES.c.farmer, _PURSES.c.life)
_find: Final = Statement(select(_PURSES.c.channel_id).where(_KEY))
_load: Final = Statement(select(*_COLUMNS).where(_KEY))
_load_of: Final = Statement(_ALL.where(_FARMER))
_load_all: Final = Statement(_ALL)
_insert: Final = Statement(insert(_PURSES))
_update: Final = Statement(
    update(_PURSES).where(_KEY).values({name: bindparam(name) for name in _NAMES if name != "channel_id"})
)


@dataclass(frozen=True, slots=True)
class Purse:
    """A channel's owner and newest payment.

    life: which of the channels between the two this is (0, 1, 2...). paid: newest unconditional voucher.
    delivered: the total that the farmer is known to hold without condition. presented: whether the farmer
    has accepted the channel. prepaid_seconds: storage time paid ahead, as of prepaid_at.
    """

    channel_id: ChannelId
    farmer: NodeId
    life: int
    paid: SignedVoucher | None = None
    delivered: Amount = Amount(0)  # noqa: RUF009 - a NewType is no call at run time
    presented: bool = False
    prepaid_seconds: Seconds = Seconds(0)  # noqa: RUF009
    prepaid_at: Timestamp = Timestamp(0)  # noqa: RUF009

    @property
    def paid_total(self) -> Amount:
        """Total of the newest unconditional voucher, 0 before the first."""
        return self.paid.total if self.paid else to_amount(0)


def save_purse(conn: Connection, purse: Purse) -> None:
    """Write a purse, new or changed."""
    values = {
        "farmer": purse.farmer,
        "life": purse.life,
        "paid": purse.paid.total if purse.paid else None,
        "paid_signature": purse.paid.signature if purse.paid else None,
        "delivered": purse.delivered,
        "presented": purse.presented,
        "prepaid_seconds": purse.prepaid_seconds,
        "prepaid_at": purse.prepaid_at,
    }
    if _find(conn, key=purse.channel_id):
        _update(conn, key=purse.channel_id, **values)
    else:
        _insert(conn, channel_id=purse.channel_id, **values)


def load_purse(conn: Connection, channel_id: ChannelId) -> Purse | None:
    """One channel's purse."""
    rows = _load(conn, key=channel_id)
    return _purse(rows[0]) if rows else None


def load_purses(conn: Connection, farmer: NodeId | None = None) -> tuple[Purse, ...]:
    """The purses of all channels, or of those to one farmer; by farmer, then by life."""
    rows = _load_all(conn) if farmer is None else _load_of(conn, key=farmer)
    return tuple(map(_purse, rows))


def _purse(row: tuple[Any, ...]) -> Purse:
    channel, farmer, life, paid, signature, delivered, presented, seconds, at = row
    return Purse(
        channel_id=ChannelId(channel),
        farmer=NodeId(farmer),
        life=life,
        paid=None if paid is None else SignedVoucher(Voucher(ChannelId(channel), paid), signature),
        delivered=delivered,
        presented=bool(presented),
        prepaid_seconds=Seconds(seconds),
        prepaid_at=Timestamp(at),
    )
