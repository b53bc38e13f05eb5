"""What a watchtower keeps: for each channel its terms and the newest vouchers. Their totals only rise.

Each farmer has rows of its own: what another brings of the same channel stands beside them, not in their way.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    LargeBinary,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlmodel import Field, SQLModel

from payments.types import ZERO32, Address, Amount, ChannelId, NodeId, Seconds
from payments.vouchers import SignedVoucher, Terms, Voucher
from settlement.database import AmountColumn
from settlement.tables import table


@dataclass(frozen=True, slots=True)
class Watched:
    """One channel of a farmer. `proof`: packed as the contract reads it, of the proven voucher."""

    farmer: NodeId
    channel_id: ChannelId
    terms: Terms
    paid: SignedVoucher | None = None
    proven: SignedVoucher | None = None
    proof: bytes = b""


class TowerChannelRow(SQLModel, table=True):
    """One Watched."""

    __tablename__ = "tower_channel"

    farmer: bytes = Field(sa_type=LargeBinary, primary_key=True)
    channel_id: bytes = Field(sa_type=LargeBinary, primary_key=True)
    payer: bytes = Field(sa_type=LargeBinary)
    signer: bytes = Field(sa_type=LargeBinary)
    payee: bytes = Field(sa_type=LargeBinary)
    token: bytes = Field(sa_type=LargeBinary)
    challenge_period: int = Field(sa_type=BigInteger)
    salt: bytes = Field(sa_type=LargeBinary)
    paid_total: int | None = Field(default=None, sa_type=AmountColumn)
    paid_signature: bytes | None = Field(default=None, sa_type=LargeBinary)
    proven_total: int | None = Field(default=None, sa_type=AmountColumn)
    proven_condition: bytes | None = Field(default=None, sa_type=LargeBinary)
    proven_signature: bytes | None = Field(default=None, sa_type=LargeBinary)
    proof: bytes = Field(sa_type=LargeBinary)


TABLES: Final[tuple[type[SQLModel], ...]] = (TowerChannelRow,)
_CHANNEL: Final = table(TowerChannelRow)


def load_watched(conn: Connection, farmer: NodeId, channel: ChannelId) -> Watched | None:
    """Read what a farmer has brought of one channel."""
    row = conn.execute(select(_CHANNEL).where(_here(farmer, channel))).first()
    return None if row is None else _read(row)


def list_watched(conn: Connection) -> Iterator[Watched]:
    """Read all of them."""
    return map(_read, conn.execute(select(_CHANNEL).order_by(_CHANNEL.c.channel_id, _CHANNEL.c.farmer)))


def count_watched(conn: Connection, farmer: NodeId) -> int:
    """Count the channels of one farmer."""
    query = select(func.count()).select_from(_CHANNEL).where(_CHANNEL.c.farmer == farmer)
    return int(conn.execute(query).scalar_one())


def save_watched(conn: Connection, watched: Watched) -> None:
    """Write one channel, new or not."""
    terms, paid, proven = watched.terms, watched.paid, watched.proven
    fields: dict[str, Any] = {
        "payer": terms.payer,
        "signer": terms.signer,
        "payee": terms.payee,
        "token": terms.token,
        "challenge_period": terms.challenge_period,
        "salt": terms.salt,
        "paid_total": paid.total if paid else None,
        "paid_signature": paid.signature if paid else None,
        "proven_total": proven.total if proven else None,
        "proven_condition": proven.voucher.condition if proven else None,
        "proven_signature": proven.signature if proven else None,
        "proof": watched.proof,
    }
    here = _here(watched.farmer, watched.channel_id)
    if conn.execute(select(_CHANNEL.c.channel_id).where(here)).first() is None:
        conn.execute(insert(_CHANNEL).values(farmer=watched.farmer, channel_id=watched.channel_id, **fields))
    else:
        conn.execute(update(_CHANNEL).where(here).values(**fields))


def forget_watched(conn: Connection, channel: ChannelId) -> None:
    """Forget a channel, whoever has brought it."""
    conn.execute(delete(_CHANNEL).where(_CHANNEL.c.channel_id == channel))


def _here(farmer: NodeId, channel: ChannelId) -> ColumnElement[bool]:
    return (_CHANNEL.c.farmer == farmer) & (_CHANNEL.c.channel_id == channel)


def _read(row: Any) -> Watched:  # noqa: ANN401 - SQLAlchemy's row
    terms = Terms(
        Address(row.payer),
        Address(row.signer),
        Address(row.payee),
        Address(row.token),
        Seconds(row.challenge_period),
        row.salt,
    )
    name = ChannelId(row.channel_id)
    return Watched(
        farmer=NodeId(row.farmer),
        channel_id=name,
        terms=terms,
        paid=_voucher(name, row.paid_total, ZERO32, row.paid_signature),
        proven=_voucher(name, row.proven_total, row.proven_condition, row.proven_signature),
        proof=row.proof,
    )


def _voucher(
    name: ChannelId, total: Amount | None, condition: bytes | None, signature: bytes | None
) -> SignedVoucher | None:
    if total is None or condition is None or signature is None:
        return None
    return SignedVoucher(Voucher(name, total, condition), signature)
