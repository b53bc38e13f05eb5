"""How audits are shown: a line for each farmer, and the vouchers that followed."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from node.cli.amounts import cell, counted
from node.cli.faults import warn_of
from node.cli.output import note, safe, say, short, show_table, warn

if TYPE_CHECKING:
    from node.renter.reports import AuditReport, AuditResult
    from settlement.client import TokenInfo

TOLD = {"PASSED": "passed", "FAILED": "failed", "OFFLINE": "offline", "TIMED_OUT": "timed out"}
RARELY = {"UNCHECKED": "not asked", "NOT_NEEDED": "not needed"}
"""Outcomes that have a column only where there are some."""


def count_outcomes(results: "Sequence[AuditResult]") -> dict[str, int]:
    """Count the outcomes of audits by name."""
    return dict(Counter(result.outcome.name for result in results))


def audit_document(report: "AuditReport", token: "TokenInfo") -> dict[str, object]:
    """Put a report into one JSON document."""
    return {"token": token, "outcomes": count_outcomes(report.results), "report": report}


def show_audit(report: "AuditReport", token: "TokenInfo") -> None:
    """Print a report for people."""
    if not report.results:
        note("Nothing to audit: tithe put FILE")
    by_farmer: dict[bytes, list[AuditResult]] = {}
    for result in report.results:
        by_farmer.setdefault(result.farmer, []).append(result)
    paid = {payment.farmer: payment for payment in report.payments}
    found = count_outcomes(report.results)
    told = TOLD | {name: title for name, title in RARELY.items() if name in found}
    rows = []
    for farmer, results in by_farmer.items():
        counts = count_outcomes(results)
        payment = paid.get(results[0].farmer)
        rows.append(
            (
                short(farmer),
                *(str(counts.get(name, 0)) for name in told),
                cell(sum(result.earned for result in results), token),
                cell(payment.total, token) if payment else "-",
            )
        )
    if rows:
        titles = (f">earned ({token.symbol})", ">voucher total")
        show_table(("farmer", *(f">{title}" for title in told.values()), *titles), rows)
    for result in report.results:
        if result.outcome.name == "FAILED":
            where = f"shard {result.segment}/{result.index} of {safe(result.file)}"
            warn(f"{short(result.farmer)} lost {where}: {safe(result.reason)}")
    warn_of(report.faults, token)
    undelivered = [payment for payment in report.payments if not payment.delivered]
    if undelivered:
        say(f"{counted(len(undelivered), 'voucher')} not delivered; the next audit brings them.")
