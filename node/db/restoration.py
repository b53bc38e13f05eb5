"""A restored database: what is not reconciled yet with chain and peers. While it stands here, it is frozen.

Written in the transaction that turns a copy into a node's books again. A channel leaves the list when its
other side has shown what it holds; a peer when it has been asked for what else it keeps.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import BigInteger, Connection, LargeBinary, Table, bindparam, delete, insert, select
from sqlmodel import Field, SQLModel

from payments.channel import Status
from payments.types import ChannelId, NodeId, Timestamp
from settlement.outbox_store import give_up
from settlement.statements import Statement
from settlement.tables import list_channels, table


class RestorationRow(SQLModel, table=True):
    """The last restoration. One row, or none."""

    __tablename__ = "restoration"

    id: int = Field(default=1, primary_key=True)
    taken_at: int = Field(sa_type=BigInteger)
    restored_at: int = Field(sa_type=BigInteger)
    chain_read: bool = False


class FrozenChannelRow(SQLModel, table=True):
    """A channel whose other side has not shown yet what it holds."""

    __tablename__ = "restoration_channel"

    channel_id: bytes = Field(primary_key=True, sa_type=LargeBinary)


class UnaskedPeerRow(SQLModel, table=True):
    """A farmer that has not been asked yet for the manifests it keeps."""

    __tablename__ = "restoration_peer"

    node: bytes = Field(primary_key=True, sa_type=LargeBinary)


TABLES: Final[tuple[type[SQLModel], ...]] = (RestorationRow, FrozenChannelRow, UnaskedPeerRow)
"""What this module keeps in a money database."""

FROM_A_COPY: Final = "the books were restored from a copy that does not know whether it was done"

_RESTORATION: Final[Table] = table(RestorationRow)
_CHANNELS: Final[Table] = table(FrozenChannelRow)
_PEERS: Final[Table] = table(UnaskedPeerRow)
_KEY: Final = _CHANNELS.c.channel_id == bindparam("key", type_=_CHANNELS.c.channel_id.type)
_find: Final = Statement(select(_CHANNELS.c.channel_id).where(_KEY))


@dataclass(frozen=True, slots=True)
class Restoration:
    """The last restoration. taken_at: of when the copy is; chain_read: whether the chain was read since."""

    taken_at: Timestamp
    restored_at: Timestamp
    chain_read: bool


def mark_restored(conn: Connection, taken_at: Timestamp, now: Timestamp, *, signed: bool) -> None:
    """Freeze every channel until it is reconciled, and give up what the copy had only wished for.

    Its node may have sent that since, under a nonce the copy does not know. What was signed has one nonce
    for ever; it waits until the chain is read, or with `signed` is given up too.
    """
    give_up(conn, FROM_A_COPY, signed=signed)
    for rows in (_RESTORATION, _CHANNELS):
        conn.execute(delete(rows))
    conn.execute(insert(_RESTORATION).values(id=1, taken_at=taken_at, restored_at=now, chain_read=False))
    for channel in list_channels(conn):
        if channel.status is not Status.CLOSED:
            freeze(conn, channel.id)


def load_restoration(conn: Connection) -> Restoration | None:
    """The last restoration; None where there never was one."""
    row = conn.execute(select(_RESTORATION)).one_or_none()
    if row is None:
        return None
    return Restoration(Timestamp(row.taken_at), Timestamp(row.restored_at), row.chain_read)


def awaits_chain(conn: Connection) -> bool:
    """Whether the books are a copy, and the chain's news since it was taken are not in them yet."""
    restoration = load_restoration(conn)
    return restoration is not None and not restoration.chain_read


def note_chain_read(conn: Connection) -> None:
    """Note that the chain's news are in the books again."""
    conn.execute(_RESTORATION.update().values(chain_read=True))


def is_frozen(conn: Connection, channel: ChannelId) -> bool:
    """Whether nothing may be signed in a channel, or claimed of it, yet."""
    return bool(_find(conn, key=channel))


def list_frozen(conn: Connection) -> list[ChannelId]:
    """The channels that are not reconciled."""
    return [ChannelId(row.channel_id) for row in conn.execute(select(_CHANNELS))]


def freeze(conn: Connection, channel: ChannelId) -> None:
    """Freeze a channel."""
    conn.execute(insert(_CHANNELS).values(channel_id=channel))


def thaw(conn: Connection, channel: ChannelId) -> bool:
    """Declare a channel reconciled; tell whether it was frozen."""
    return conn.execute(delete(_CHANNELS).where(_CHANNELS.c.channel_id == channel)).rowcount > 0


def list_unasked(conn: Connection) -> list[NodeId]:
    """The farmers to ask for what they keep of ours."""
    return [NodeId(row.node) for row in conn.execute(select(_PEERS))]


def ask_later(conn: Connection, node: NodeId) -> None:
    """Note that a farmer is to be asked for what it keeps of ours."""
    if not conn.execute(select(_PEERS).where(_PEERS.c.node == node)).first():
        conn.execute(insert(_PEERS).values(node=node))


def note_asked(conn: Connection, node: NodeId) -> None:
    """Note that a farmer has told what it keeps of ours."""
    conn.execute(delete(_PEERS).where(_PEERS.c.node == node))
