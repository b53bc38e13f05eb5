"""What an examination of a farmer came to, put together for the report."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from node.audit import Outcome
from node.renter.batches import Subject
from node.renter.reports import AuditResult, Fault
from payments.types import Amount

_NOTHING = Amount(0)


@dataclass(frozen=True, slots=True)
class Examined:
    """What an examination came to."""

    results: tuple[AuditResult, ...] = ()
    faults: tuple[Fault, ...] = ()

    def __add__(self, other: "Examined") -> "Examined":
        return Examined(self.results + other.results, self.faults + other.faults)


def passed(subjects: Sequence[Subject], earned: Amount, reason: str) -> tuple[AuditResult, ...]:
    """Split what an audit earned among its items, each at most its own step."""
    results = []
    left = int(earned)
    for subject in subjects:
        part = min(left, subject.shard.agreement.step)
        left -= part
        results.append(result(subject, Outcome.PASSED, reason, earned=Amount(part)))
    return tuple(results)


def unchecked(subjects: Iterable[Subject], fault: Fault) -> Examined:
    """Report that nobody could be asked."""
    results = tuple(result(subject, Outcome.UNCHECKED, fault.reason) for subject in subjects)
    return Examined(results, (fault,))


def result(
    subject: Subject, outcome: Outcome, reason: str, *, decided: bool = True, earned: Amount = _NOTHING
) -> AuditResult:
    """Report what one shard's audit came to."""
    shard = subject.shard
    return AuditResult(
        farmer=shard.agreement.farmer,
        agreement=shard.agreement_id,
        file=subject.file,
        segment=shard.segment,
        index=shard.index,
        outcome=outcome,
        decided=decided,
        earned=earned,
        reason=reason,
    )
