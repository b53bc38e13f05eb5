"""Which farmers answer: how often each one does, and since when a shard's audits have gone unanswered."""

from collections.abc import Collection, Iterable
from typing import Final

from sqlalchemy import BigInteger, Connection, LargeBinary, Table, delete, insert, select, update
from sqlmodel import Field, SQLModel

from node.audit import Outcome
from node.db.renter_audits import Decision
from payments.types import NodeId, Timestamp
from settlement.tables import table

_NEWEST: Final = 0.1
"""How much of a score one audit makes."""
_ANSWERED: Final = frozenset({Outcome.PASSED, Outcome.FAILED})
_UNANSWERED: Final = frozenset({Outcome.OFFLINE, Outcome.TIMED_OUT})


class PresenceRow(SQLModel, table=True):
    """How often a farmer answers, from 0 to 1: the newest audits weigh most."""

    __tablename__ = "renter_presence"

    farmer: bytes = Field(primary_key=True, sa_type=LargeBinary)
    score: float


class AwayRow(SQLModel, table=True):
    """A shard whose audits go unanswered, and since when."""

    __tablename__ = "renter_away"

    agreement_id: bytes = Field(primary_key=True, sa_type=LargeBinary)
    since: int = Field(sa_type=BigInteger)


TABLES: Final[tuple[type[SQLModel], ...]] = (PresenceRow, AwayRow)
"""What this module keeps in a renter's money database."""

_PRESENCE: Final[Table] = table(PresenceRow)
_AWAY: Final[Table] = table(AwayRow)


def record_presence(conn: Connection, farmer: NodeId, decisions: Iterable[Decision]) -> None:
    """Learn from an audit's decisions; those in which nobody was asked say nothing."""
    outcomes = set()
    for decision in decisions:
        outcomes.add(decision.outcome)
        if decision.outcome in _ANSWERED:
            conn.execute(delete(_AWAY).where(_AWAY.c.agreement_id == decision.agreement))
        elif decision.outcome in _UNANSWERED:
            _note_away(conn, decision.agreement, decision.at)
    if outcomes & _ANSWERED:
        _weigh(conn, farmer, 1.0)
    elif outcomes & _UNANSWERED:
        _weigh(conn, farmer, 0.0)


def load_away(conn: Connection, agreements: Collection[bytes] | None = None) -> dict[bytes, Timestamp]:
    """Return since when audits go unanswered, by agreement: of these, some hundreds at most, or of all."""
    query = select(_AWAY)
    if agreements is not None:
        query = query.where(_AWAY.c.agreement_id.in_(agreements))
    return {row.agreement_id: Timestamp(row.since) for row in conn.execute(query)}


def load_scores(conn: Connection) -> dict[NodeId, float]:
    """Return how often each farmer answers; one that was never asked is not there."""
    return {NodeId(row.farmer): row.score for row in conn.execute(select(_PRESENCE))}


def _note_away(conn: Connection, agreement: bytes, since: Timestamp) -> None:
    known = select(_AWAY.c.since).where(_AWAY.c.agreement_id == agreement)
    if conn.execute(known).scalar() is None:
        conn.execute(insert(_AWAY).values(agreement_id=agreement, since=since))


def _weigh(conn: Connection, farmer: NodeId, answer: float) -> None:
    mine = _PRESENCE.c.farmer == farmer
    score = conn.execute(select(_PRESENCE.c.score).where(mine)).scalar()
    if score is None:
        conn.execute(insert(_PRESENCE).values(farmer=farmer, score=1 - _NEWEST + _NEWEST * answer))
    else:
        conn.execute(update(_PRESENCE).where(mine).values(score=(1 - _NEWEST) * score + _NEWEST * answer))
