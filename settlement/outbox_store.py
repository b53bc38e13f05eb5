"""The outbox on disk: transactions from wish to end, and every signed form of them."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, func, insert, select, update

from payments.types import Address
from settlement.calls import Call
from settlement.rpc import Fees
from settlement.tables import AttemptRow, TransactionRow, table
from settlement.transactions import SignedTransaction

_queue: Final = table(TransactionRow)
_attempts: Final = table(AttemptRow)


class Phase(StrEnum):
    """Where a transaction stands."""

    QUEUED = "queued"
    """Wished for; it has no nonce yet."""
    SENT = "sent"
    """Signed, broadcast perhaps; not confirmed."""
    CANCELLING = "cancelling"
    """Sent, and to be overtaken by an empty transfer under its nonce; the chain decides which it is."""
    DONE = "done"
    """Executed, at confirmation depth."""
    REVERTED = "reverted"
    """The contract refused it, before it was sent or on chain."""
    REPLACED = "replaced"
    """Its nonce was used, and no node shows by what: whether it is done is not known."""
    CANCELLED = "cancelled"
    """Given up before it was sent, or overtaken by the empty transfer."""


OPEN: Final = (Phase.QUEUED, Phase.SENT, Phase.CANCELLING)


@dataclass(frozen=True, slots=True)
class Queued:
    """A transaction of the outbox. `problem`: why it waits, or failed; `final`: hash of what was mined."""

    id: int
    purpose: str
    sender: Address
    call: Call
    phase: Phase
    gas: int = 0
    nonce: int | None = None
    problem: str = ""
    final: bytes | None = None
    queued_at: int = 0

    @property
    def empty(self) -> bool:
        """Whether it only uses up its nonce."""
        return self.call == empty_transfer(self.sender)

    @property
    def again(self) -> "Queued":
        """The same wish without a nonce."""
        return replace(self, phase=Phase.QUEUED, gas=0, nonce=None, problem="", final=None)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One signed form. `signed_at` unix seconds; `cancels`: it is the empty transfer instead of the call."""

    signed: SignedTransaction
    fees: Fees
    signed_at: int
    cancels: bool = False


def empty_transfer(sender: Address) -> Call:
    """What uses up a nonce and does nothing else."""
    return Call(sender, b"")


def add_wish(conn: Connection, purpose: str, sender: Address, call: Call, now: int) -> Queued:
    """Queue a call at unix seconds `now`.

    While the very same one is open for the same purpose, that one is meant.
    """
    fields = {
        "purpose": purpose,
        "sender": sender,
        "to": call.to,
        "data": call.data,
        "value": str(call.value),
    }
    same = [_queue.c[name] == value for name, value in fields.items()]
    found = conn.execute(select(_queue).where(*same, _queue.c.state.in_(OPEN))).first()
    if found is not None:
        return _queued(found)
    blank = {"gas": 0, "nonce": None, "state": Phase.QUEUED.value, "problem": "", "final": None}
    key = conn.execute(insert(_queue).values(**fields, **blank, queued_at=now)).inserted_primary_key
    return Queued(int(key[0]) if key else 0, purpose, sender, call, Phase.QUEUED, queued_at=now)


def add_filler(conn: Connection, sender: Address, nonce: int, now: int) -> None:
    """Queue an empty transfer for a nonce, unless one of ours is to be mined with it or was once.

    What was, a reorganisation may have thrown out a moment ago: it is sent again itself (`list_undone`).
    """
    same = (_queue.c.sender == sender) & (_queue.c.nonce == nonce)
    ours = _queue.c.state.in_(OPEN) | _queue.c.final.is_not(None)
    if conn.execute(select(_queue.c.id).where(same, ours)).first() is None:
        filler = add_wish(conn, f"use nonce {nonce}", sender, empty_transfer(sender), now)
        update_queued(conn, replace(filler, nonce=nonce))


def update_queued(conn: Connection, queued: Queued) -> None:
    """Write what has become of a transaction."""
    changes: dict[str, Any] = {"gas": queued.gas, "nonce": queued.nonce, "state": queued.phase.value}
    changes |= {"problem": _text(queued.problem), "final": queued.final}
    conn.execute(update(_queue).where(_queue.c.id == queued.id).values(**changes))


def give_up(conn: Connection, reason: str, *, signed: bool) -> None:
    """Want none of what was never signed any more, and with `signed` none of what was.

    Of that the chain decides: an empty transfer competes for its nonce.
    """
    for queued in list_open(conn):
        if queued.phase is Phase.QUEUED:
            update_queued(conn, replace(queued, phase=Phase.CANCELLED, problem=reason))
        elif signed:
            update_queued(conn, replace(queued, phase=Phase.CANCELLING, problem=reason))


def note_problem(conn: Connection, queued: Queued, problem: str) -> None:
    """Write why a transaction waits; whether it is wanted somebody else may have changed meanwhile."""
    conn.execute(update(_queue).where(_queue.c.id == queued.id).values(problem=_text(problem)))


def add_attempt(conn: Connection, queued: Queued, attempt: Attempt) -> Queued | None:
    """Keep a signed form, before anybody else sees it.

    None, and nothing is kept, where another program has sent it or given it up meanwhile, or taken its nonce.
    """
    if load_queued(conn, queued.id).phase is not queued.phase or _taken(conn, queued):
        return None
    phase = Phase.CANCELLING if attempt.cancels else Phase.SENT
    sent = replace(queued, phase=phase, problem=queued.problem if attempt.cancels else "")
    update_queued(conn, sent)
    priority = "" if attempt.fees.priority is None else str(attempt.fees.priority)
    fields: dict[str, Any] = {
        "hash": attempt.signed.hash,
        "raw": attempt.signed.raw,
        "cap": str(attempt.fees.cap),
    }
    fields |= {"priority": priority, "signed_at": attempt.signed_at, "cancels": attempt.cancels}
    fields["transaction_id"] = queued.id
    conn.execute(insert(_attempts).values(**fields))
    return sent


def load_queued(conn: Connection, queued_id: int) -> Queued:
    """Read one transaction; KeyError where there is none."""
    row = conn.execute(select(_queue).where(_queue.c.id == queued_id)).first()
    if row is None:
        raise KeyError(queued_id)
    return _queued(row)


def list_open(conn: Connection) -> list[Queued]:
    """List transactions that are not done yet, oldest first."""
    query = select(_queue).where(_queue.c.state.in_(OPEN)).order_by(_queue.c.id)
    return [_queued(row) for row in conn.execute(query)]


def has_any(conn: Connection) -> bool:
    """Whether anything was ever queued."""
    return conn.execute(select(_queue.c.id).limit(1)).first() is not None


def list_undone(conn: Connection, sender: Address, nonce: int) -> list[Queued]:
    """List what was mined once with this nonce or a later one."""
    query = select(_queue).where(_queue.c.sender == sender, _queue.c.final.is_not(None))
    return [_queued(row) for row in conn.execute(query.where(_queue.c.nonce >= nonce))]


def list_attempts(conn: Connection, queued: Queued) -> list[Attempt]:
    """List the signed forms of a transaction, oldest first."""
    query = select(_attempts).where(_attempts.c.transaction_id == queued.id).order_by(_attempts.c.id)
    return [
        Attempt(
            SignedTransaction(row.raw, row.hash),
            Fees(int(row.cap), int(row.priority) if row.priority else None),
            row.signed_at,
            row.cancels,
        )
        for row in conn.execute(query)
    ]


def list_recent(conn: Connection, limit: int) -> list[Queued]:
    """List what is over, the newest first."""
    query = select(_queue).where(_queue.c.state.not_in(OPEN)).order_by(_queue.c.id.desc()).limit(limit)
    return [_queued(row) for row in conn.execute(query)]


def next_nonce(conn: Connection, sender: Address) -> int:
    """The nonce after the highest this key has ever used in this outbox."""
    highest = conn.execute(select(func.max(_queue.c.nonce)).where(_queue.c.sender == sender)).scalar()
    return 0 if highest is None else int(highest) + 1


def _taken(conn: Connection, queued: Queued) -> bool:
    """Whether another open transaction of this sender has its nonce."""
    same = (_queue.c.sender == queued.sender) & (_queue.c.nonce == queued.nonce)
    query = select(_queue.c.id).where(same, _queue.c.id != queued.id, _queue.c.state.in_(OPEN))
    return conn.execute(query).first() is not None


def _text(problem: str) -> str:
    """PostgreSQL has no room for a zero."""
    return problem.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _queued(row: Any) -> Queued:  # noqa: ANN401 - SQLAlchemy's row
    return Queued(
        id=row.id,
        purpose=row.purpose,
        sender=row.sender,
        call=Call(row.to, row.data, int(row.value)),
        phase=Phase(row.state),
        gas=row.gas,
        nonce=row.nonce,
        problem=row.problem,
        final=row.final,
        queued_at=row.queued_at,
    )
