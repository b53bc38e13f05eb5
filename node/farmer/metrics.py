"""A farmer's vitals and disk in Prometheus's text format (version 0.0.4): few gauges, one line each.

Amounts are base units of the token, times seconds, gas money wei. What is not known has no line.
"""

from node.farmer.holdings import Holdings
from node.farmer.vitals import Vitals

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def render(vitals: Vitals, holdings: Holdings) -> str:
    """Write the metrics."""
    nearest = vitals.nearest_deadline
    gauges: tuple[tuple[str, str, int | None], ...] = (
        ("claimable", "What vouchers and proofs would bring now.", vitals.claimable),
        ("locked", "What open channels hold beyond what is claimed.", vitals.locked),
        ("claimed", "What was paid out on chain.", vitals.claimed),
        ("open_claims", "Transactions of claims that are not confirmed.", vitals.open_claims),
        ("oldest_unclaimed_seconds", "Age of the oldest unclaimed earning.", vitals.oldest_unclaimed),
        (
            "nearest_deadline_seconds",
            "Until a payer may withdraw from a channel with something to claim.",
            nearest.remaining if nearest else None,
        ),
        (
            "deadline_margin_seconds",
            "What a claim may take: alarm when the nearest deadline is below.",
            nearest.margin if nearest else None,
        ),
        ("gas_balance_wei", "Money of the gas key.", vitals.gas_balance),
        ("watcher_lag_blocks", "Blocks the books lie behind the chain.", vitals.watcher_lag),
        ("store_away", "1 while the disk with the shards is not there.", int(holdings.away is not None)),
        ("shards_lost", "Shards found damaged or gone, ever.", holdings.lost),
        ("quarantine_shards", "Damaged files set apart.", holdings.quarantine.shards),
        ("trash_bytes", "Room of ended shards that are kept for a while.", holdings.trash.bytes),
        ("scan_ended_seconds", "When all shards had last been read, unix time.", holdings.scan.ended or None),
    )
    return "".join(
        f"# HELP tithebarn_{name} {meaning}\n# TYPE tithebarn_{name} gauge\ntithebarn_{name} {value}\n"
        for name, meaning, value in gauges
        if value is not None
    )
