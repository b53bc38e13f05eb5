"""The conclusions of audits: what a challenge came to, written down before it is told.

An item ends as FAILED or NOT_NEEDED once it is found wanting, or by the tries noted for it once the window
has closed; until then the challenge stays open.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from node.audit import Answer, Outcome, Try, classify
from node.db import Connection
from node.db.renter_audits import AuditRecord, Decision, load_audit, load_decisions
from node.renter.batches import Subject
from node.renter.context import Context
from node.renter.examined import Examined, passed, result
from node.renter.money import close_audit, record_try
from node.renter.reports import Fault

_PROVISIONAL: Final = {
    Answer.SILENT: Outcome.TIMED_OUT,
    Answer.UNREACHABLE: Outcome.OFFLINE,
    Answer.OUR_FAULT: Outcome.UNCHECKED,
}
_REASONS: Final = {
    Outcome.OFFLINE: "the farmer could not be reached",
    Outcome.TIMED_OUT: "the farmer gave no answer in time",
    Outcome.FAILED: "the farmer is reachable and answered none of three tries",
    Outcome.NOT_NEEDED: "the agreement is over",
    Outcome.UNCHECKED: "we could not ask",
}


@dataclass(frozen=True, slots=True)
class Step:
    """What one try came to: results, subjects to be asked for anew, whether the challenge stays open."""

    examined: Examined
    again: tuple[Subject, ...] = ()
    open: bool = False


class Conclusions:
    """Ends challenges of the renter's, or notes that they stay open."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def conclude(
        self, audit: AuditRecord, subjects: Sequence[Subject], failed: dict[bytes, str]
    ) -> Step:
        """End a challenge in which these items have failed; the others are to be asked for anew."""
        now = self._context.now()
        decisions = []
        again = []
        results = []
        for subject in subjects:
            name = subject.shard.agreement_id
            if name not in failed:
                again.append(subject)
                continue
            over = now >= subject.shard.agreement.end
            outcome = Outcome.NOT_NEEDED if over else Outcome.FAILED
            decisions.append(Decision(name, outcome, failed[name], now))
            results.append(result(subject, outcome, failed[name]))
        await self._context.database.write(lambda conn: close_audit(conn, audit, decisions))
        return Step(Examined(tuple(results)), tuple(again))

    async def note_unanswered(
        self, audit: AuditRecord, subjects: Sequence[Subject], answer: Answer, fault: Fault | None
    ) -> Step:
        """Note a try without a verdict; when the window has closed, that is the outcome."""
        context, now = self._context, self._context.now()

        def work(conn: Connection) -> list[Decision] | None:
            known = record_try(conn, audit.audit_id, Try(now, answer)) or audit
            decisions = []
            for subject in subjects:
                window = replace(known.window, end=subject.shard.agreement.end)
                outcome = classify(known.tries, window, now)
                if outcome is None:
                    return None
                name = subject.shard.agreement_id
                decisions.append(Decision(name, outcome, _REASONS[outcome], now))
            close_audit(conn, known, decisions)
            return decisions

        decisions = await context.database.write(work)
        faults = (fault,) if fault else ()
        if decisions is None:
            outcome = _PROVISIONAL[answer]
            results = [result(subject, outcome, _REASONS[outcome], decided=False) for subject in subjects]
            return Step(Examined(tuple(results), faults), open=True)
        decided = {decision.agreement: decision for decision in decisions}
        results = [
            result(subject, decided[name].outcome, decided[name].reason)
            for subject in subjects
            if (name := subject.shard.agreement_id) in decided
        ]
        return Step(Examined(tuple(results), faults))

    def look(self, audit: AuditRecord, subjects: Sequence[Subject]) -> Step | None:
        """Look whether a challenge was decided meanwhile."""

        def work(conn: Connection) -> tuple[AuditRecord | None, tuple[Decision, ...]]:
            return load_audit(conn, audit.audit_id), load_decisions(conn, audit.audit_id)

        known, decisions = self._context.database.read(work)
        if known is None or known.open:
            return None
        good = {decision.agreement for decision in decisions if decision.outcome is Outcome.PASSED}
        mine = [subject for subject in subjects if subject.shard.agreement_id in good]
        return Step(Examined(passed(mine, audit.step, "proven before")))
