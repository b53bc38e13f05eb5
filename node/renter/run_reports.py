"""What `rent run` tells: values only."""

from dataclasses import dataclass

from node.renter.repair_reports import RepairResult
from node.renter.reports import AuditResult, Fault, PaymentResult
from payments.types import Amount, ChannelId, Timestamp


@dataclass(frozen=True, slots=True)
class TickReport:
    """One step of `rent run`: audits and payments made in it, troubles met, when the next step is due.

    `trouble` says where the chain could not be read, a top-up was not made, or a part of the step failed.
    `topped_up`: tokens put into channels since the last step. repairs: those that have ended since. renewed:
    agreements that run longer now.
    """

    at: Timestamp
    audits: tuple[AuditResult, ...]
    payments: tuple[PaymentResult, ...]
    faults: tuple[Fault, ...]
    trouble: str
    next_at: Timestamp
    topped_up: Amount = Amount(0)  # noqa: RUF009 - a NewType is no call at run time
    repairs: tuple[RepairResult, ...] = ()
    renewed: int = 0


@dataclass(frozen=True, slots=True)
class Reconciled:
    """How far a restored renter is.

    found, removed: files that the copy did not know, or knew and that are removed by now. frozen: channels
    in which nothing is signed, since their farmers have not answered. faults: who did not, and why.
    """

    found: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    frozen: tuple[ChannelId, ...] = ()
    faults: tuple[Fault, ...] = ()
