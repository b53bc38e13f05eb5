"""What settlement keeps: channels, the watcher's place in the chain, queued transactions. Rows stay in here.

The functions below take an open connection, so that callers can put several steps into one `Database.write`;
outside there are only frozen values.
"""

from collections.abc import Iterable
from typing import Any, Final, cast

from sqlalchemy import (
    DDL,
    BigInteger,
    Connection,
    LargeBinary,
    Table,
    bindparam,
    event,
    insert,
    select,
    text,
    update,
)
from sqlmodel import Field, SQLModel

from payments.channel import Channel, Status, open_channel
from payments.eip712 import Domain
from payments.types import Address, ChannelId
from payments.vouchers import Terms
from settlement.database import AmountColumn
from settlement.statements import Statement


class ChannelRow(SQLModel, table=True):
    """One channel; `last_block` is the newest block that told something about it."""

    __tablename__ = "channels"
    id: bytes = Field(primary_key=True, sa_type=LargeBinary)
    payer: bytes = Field(index=True, sa_type=LargeBinary)
    signer: bytes = Field(sa_type=LargeBinary)
    payee: bytes = Field(index=True, sa_type=LargeBinary)
    token: bytes = Field(sa_type=LargeBinary)
    challenge_period: int = Field(sa_type=BigInteger)
    salt: bytes = Field(sa_type=LargeBinary)
    deposit: int = Field(sa_type=AmountColumn)
    claimed: int = Field(sa_type=AmountColumn)
    signed: int = Field(sa_type=AmountColumn)
    accepted: int = Field(sa_type=AmountColumn)
    closes_at: int = Field(sa_type=BigInteger)
    status: str = Field(index=True)
    last_block: int = Field(default=0, index=True, sa_type=BigInteger)


class BlockRow(SQLModel, table=True):
    """Hash of a block we have read: how a reorganisation is noticed."""

    __tablename__ = "blocks"
    number: int = Field(primary_key=True, sa_type=BigInteger)
    hash: bytes = Field(sa_type=LargeBinary)


class CursorRow(SQLModel, table=True):
    """How far the chain has been read: `seen` for bad news, `confirmed` for good news. One row."""

    __tablename__ = "cursor"
    id: int = Field(default=1, primary_key=True)
    seen: int = Field(sa_type=BigInteger)
    confirmed: int = Field(sa_type=BigInteger)


class EffectRow(SQLModel, table=True):
    """An effect the node has not carried out yet."""

    __tablename__ = "effects"
    id: int | None = Field(default=None, primary_key=True)
    kind: str
    channel_id: bytes = Field(sa_type=LargeBinary)
    total: int = Field(sa_type=AmountColumn)
    before: int = Field(sa_type=BigInteger)


class TransactionRow(SQLModel, table=True):
    """A transaction in the outbox, from the wish to its end. Wei in decimal text: it may exceed 64 bits."""

    __tablename__ = "transactions"
    id: int | None = Field(default=None, primary_key=True)
    purpose: str
    sender: bytes = Field(index=True, sa_type=LargeBinary)
    to: bytes = Field(sa_type=LargeBinary)
    data: bytes = Field(sa_type=LargeBinary)
    value: str
    gas: int = Field(sa_type=BigInteger)
    nonce: int | None = Field(sa_type=BigInteger)
    state: str = Field(index=True)
    problem: str
    final: bytes | None = Field(default=None, sa_type=LargeBinary)
    """Hash of the attempt that ended it."""
    queued_at: int = Field(default=0, sa_type=BigInteger)
    """Unix seconds; 0 where an early version queued it."""


class AttemptRow(SQLModel, table=True):
    """One signed form of a transaction; every one ever broadcast is kept until the end."""

    __tablename__ = "attempts"
    id: int | None = Field(default=None, primary_key=True)
    transaction_id: int = Field(index=True, foreign_key="transactions.id")
    hash: bytes = Field(sa_type=LargeBinary)
    raw: bytes = Field(sa_type=LargeBinary)
    cap: str
    priority: str
    signed_at: int = Field(sa_type=BigInteger)
    cancels: bool = False
    """Whether it is an empty transfer to the sender, in place of the call."""


TABLES: Final[tuple[type[SQLModel], ...]] = (
    ChannelRow,
    BlockRow,
    CursorRow,
    EffectRow,
    TransactionRow,
    AttemptRow,
)
"""What a money database needs besides the node's own tables."""


def table(row: type[SQLModel]) -> Table:
    """Core's view of a row class."""
    return cast(Table, getattr(row, "__table__"))  # noqa: B009 - SQLModel does not declare it


CHANNELS: Final = table(ChannelRow)
_RECORDED: Final = {"sqlite": text("rowid"), "postgresql": text("recorded")}
"""The order in which rows came: SQLite numbers them by itself, PostgreSQL when asked to."""
event.listen(
    CHANNELS,
    "after_create",
    DDL(  # type: ignore[no-untyped-call]  # SQLAlchemy left it so
        "ALTER TABLE %(fullname)s ADD COLUMN recorded BIGINT GENERATED ALWAYS AS IDENTITY"
    ).execute_if(dialect="postgresql"),
)
_TERMS: Final = ("payer", "signer", "payee", "token", "challenge_period", "salt")
_STATE: Final = ("deposit", "claimed", "signed", "accepted", "closes_at", "status")
CHANNEL_COLUMNS: Final = [CHANNELS.c[name] for name in ("id", *_TERMS, *_STATE)]
"""What `read_channel` reads, in its order."""
_KEY: Final = CHANNELS.c.id == bindparam("key", type_=CHANNELS.c.id.type)
_load: Final = Statement(select(*CHANNEL_COLUMNS).where(_KEY))
_save: Final = Statement(update(CHANNELS).where(_KEY).values({name: bindparam(name) for name in _STATE}))
_save_promise: Final = Statement(
    update(CHANNELS).where(_KEY).values(signed=bindparam("signed"), accepted=bindparam("accepted"))
)
_record: Final = Statement(insert(CHANNELS))


def load_channel(conn: Connection, channel_id: ChannelId) -> Channel | None:
    """Read a channel; None where it was never recorded."""
    rows = _load(conn, key=channel_id)
    return read_channel(rows[0]) if rows else None


def save_channel(conn: Connection, channel: Channel) -> None:
    """Write the state of a recorded channel (its terms never change)."""
    _save(conn, key=channel.id, **_state(channel))


def save_promises(conn: Connection, channels: Iterable[Channel]) -> None:
    """Write what vouchers change, signed and accepted; indexed columns stay untouched, which is fast."""
    _save_promise.many(
        conn, ({"key": one.id, "signed": one.signed, "accepted": one.accepted} for one in channels)
    )


def record_channel(conn: Connection, domain: Domain, terms: Terms) -> Channel:
    """Start keeping a channel, or read the one that is kept already."""
    fresh = open_channel(domain, terms)
    known = load_channel(conn, fresh.id)
    if known is not None:
        return known
    fields = {name: getattr(terms, name) for name in _TERMS}
    _record(conn, id=fresh.id, last_block=0, **fields, **_state(fresh))
    return fresh


def list_channels(
    conn: Connection,
    *,
    payer: Address | None = None,
    signer: Address | None = None,
    payee: Address | None = None,
    status: Status | None = None,
) -> list[Channel]:
    """List channels, all or those that match, in the order they were recorded."""
    query = select(*CHANNEL_COLUMNS).order_by(_RECORDED[conn.dialect.name])
    wanted = {"payer": payer, "signer": signer, "payee": payee, "status": status and status.value}
    for name, value in wanted.items():
        if value is not None:
            query = query.where(CHANNELS.c[name] == value)
    return [read_channel(tuple(row)) for row in conn.execute(query)]


def _state(channel: Channel) -> dict[str, Any]:
    values = {name: getattr(channel, name) for name in _STATE}
    return values | {"status": channel.status.value}


def read_channel(row: tuple[Any, ...]) -> Channel:
    """Make a channel of a row of CHANNEL_COLUMNS."""
    (
        key,
        payer,
        signer,
        payee,
        token,
        period,
        salt,
        deposit,
        claimed,
        signed,
        accepted,
        closes_at,
        status,
    ) = row
    return Channel(
        id=key,
        terms=Terms(payer, signer, payee, token, period, salt),
        deposit=deposit,
        claimed=claimed,
        signed=signed,
        accepted=accepted,
        closes_at=closes_at,
        status=Status(status),
    )
