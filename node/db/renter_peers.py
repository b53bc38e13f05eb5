"""A renter's peers: the farmers it has added, what each last said of itself, audits in a row not passed."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, LargeBinary, Row, Table, delete, insert, select, update
from sqlmodel import Field, SQLModel

from payments.types import NodeId, Timestamp
from settlement.tables import table


class PeerRow(SQLModel, table=True):
    """A farmer: what it last said of itself (JSON), how many audits in a row it has not passed."""

    __tablename__ = "renter_peer"

    node: bytes = Field(primary_key=True, sa_type=LargeBinary)
    url: str
    info: str
    added_at: int = Field(sa_type=BigInteger)
    seen_at: int = Field(sa_type=BigInteger)
    lapses: int = 0


TABLES: Final[tuple[type[SQLModel], ...]] = (PeerRow,)
"""What this module keeps in a renter's money database."""

_PEERS: Final[Table] = table(PeerRow)


@dataclass(frozen=True, slots=True)
class PeerRecord:
    """A farmer as stored: the address its owner gave us, the JSON in which it last described itself."""

    node: NodeId
    url: str
    info: str
    added_at: Timestamp
    seen_at: Timestamp
    lapses: int = 0


def save_peer(conn: Connection, peer: PeerRecord) -> None:
    """Add a farmer, or refresh what it says of itself; when it was added and its lapses stay."""
    fresh = {"url": peer.url, "info": peer.info, "seen_at": peer.seen_at}
    if not conn.execute(update(_PEERS).where(_PEERS.c.node == peer.node).values(**fresh)).rowcount:
        first = {"node": peer.node, "added_at": peer.added_at, "lapses": peer.lapses}
        conn.execute(insert(_PEERS).values(**first, **fresh))


def load_peers(conn: Connection) -> tuple[PeerRecord, ...]:
    """Every farmer, oldest acquaintance first."""
    rows = conn.execute(select(_PEERS).order_by(_PEERS.c.added_at, _PEERS.c.node))
    return tuple(map(_peer, rows))


def load_nodes(conn: Connection) -> frozenset[NodeId]:
    """Say who the farmers are."""
    return frozenset(NodeId(node) for node in conn.execute(select(_PEERS.c.node)).scalars())


def load_peer(conn: Connection, node: NodeId) -> PeerRecord | None:
    """One farmer."""
    row = conn.execute(select(_PEERS).where(_PEERS.c.node == node)).one_or_none()
    return None if row is None else _peer(row)


def delete_peer(conn: Connection, node: NodeId) -> bool:
    """Forget a farmer; tell whether it was known."""
    return conn.execute(delete(_PEERS).where(_PEERS.c.node == node)).rowcount > 0


def count_lapse(conn: Connection, node: NodeId, *, passed: bool) -> None:
    """Count an audit that a farmer did not pass; one that it passed forgives those before it."""
    lapses = 0 if passed else _PEERS.c.lapses + 1
    conn.execute(update(_PEERS).where(_PEERS.c.node == node).values(lapses=lapses))


def _peer(row: Row[Any]) -> PeerRecord:
    return PeerRecord(
        node=NodeId(row.node),
        url=row.url,
        info=row.info,
        added_at=Timestamp(row.added_at),
        seen_at=Timestamp(row.seen_at),
        lapses=row.lapses,
    )
