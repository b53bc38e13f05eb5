"""`tithe farm prices`: what a farmer asks of renters, and changing it."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli.amounts import check_amounts, coins, duration, parse_duration, typed_amounts
from node.cli.farm_owner import load_config
from node.cli.options import ChainName, Json, amount_option, duration_option
from node.cli.output import note, print_json, show_facts
from node.cli.session import home, on_chain, token_info

if TYPE_CHECKING:
    from node.farmer.config import Offer
    from settlement.client import TokenInfo

group = typer.Typer()

StoragePrice = Annotated[str | None, amount_option("--storage", "Asked for a GB stored for 30 days.")]
DownloadPrice = Annotated[str | None, amount_option("--download", "Asked for a GB read.")]
AuditPrice = Annotated[str | None, amount_option("--audit", "Asked for an audit, on top of the storage.")]
MinDeposit = Annotated[str | None, amount_option("--min-deposit", "What a channel must hold first.")]
MinValue = Annotated[
    str | None, amount_option("--min-value", "What an agreement must be worth over its life.")
]
Interval = Annotated[str | None, duration_option("--interval", "From one audit to the next, such as 24h.")]
Deadline = Annotated[str | None, duration_option("--deadline", "Time to answer an audit.")]
Grace = Annotated[str | None, duration_option("--grace", "Unpaid shards are kept for so long.")]
LongestTerm = Annotated[str | None, duration_option("--longest-term", "Agreements run for at most so long.")]
Capacity = Annotated[
    str | None,
    typer.Option("--capacity", metavar="SIZE", help="Disk to sell, such as 500GB.", show_default=False),
]


def change_offer(
    offer: "Offer",
    decimals: int,
    *,
    storage: str | None = None,
    download: str | None = None,
    audit: str | None = None,
    min_deposit: str | None = None,
    min_value: str | None = None,
    interval: str | None = None,
    deadline: str | None = None,
    grace: str | None = None,
    longest_term: str | None = None,
) -> "Offer":
    """Change what was typed, keep the rest. Raises BadAmount, BadDuration, or PaymentError for nonsense."""
    prices = typed_amounts(decimals, storage_per_gb_month=storage, download_per_gb=download, per_audit=audit)
    sums: dict[str, Any] = typed_amounts(decimals, min_deposit=min_deposit, min_agreement_value=min_value)
    spans = {
        "audit_interval": interval,
        "response_deadline": deadline,
        "grace": grace,
        "max_agreement_seconds": longest_term,
    }
    durations: dict[str, Any] = {
        name: parse_duration(text) for name, text in spans.items() if text is not None
    }
    return replace(offer, prices=replace(offer.prices, **prices), **sums, **durations)


@group.command()
def prices(
    storage: StoragePrice = None,
    download: DownloadPrice = None,
    audit: AuditPrice = None,
    min_deposit: MinDeposit = None,
    min_value: MinValue = None,
    interval: Interval = None,
    deadline: Deadline = None,
    grace: Grace = None,
    longest_term: LongestTerm = None,
    chain: ChainName = None,
    as_json: Json = False,
) -> None:
    """Show what you ask of renters; with options, change it.

    A running farmer quotes the new prices at once. Agreements that exist keep
    theirs.

    For example:

        tithe farm prices
        tithe farm prices --storage 0.002 --download 0.005 --min-deposit 0.1
    """
    typed = {
        "storage": storage,
        "download": download,
        "audit": audit,
        "min_deposit": min_deposit,
        "min_value": min_value,
        "interval": interval,
        "deadline": deadline,
        "grace": grace,
        "longest_term": longest_term,
    }
    check_amounts(storage, download, audit, min_deposit, min_value)
    config = load_config()
    token = on_chain(chain, token_info)
    offer = change_offer(config.offer, token.decimals, **typed)
    if offer != config.offer:
        replace(config, offer=offer).save(home().farm_config)
        note("Changed.")
    if as_json:
        print_json({"token": token, "offer": offer})
    else:
        show_offer(offer, token)


def show_offer(offer: "Offer", token: "TokenInfo") -> None:
    """Print what a farmer asks."""
    show_facts(
        [
            ("storage", f"{coins(offer.prices.storage_per_gb_month, token)} for a GB and 30 days"),
            ("download", f"{coins(offer.prices.download_per_gb, token)} for a GB"),
            ("audit", f"{coins(offer.prices.per_audit, token)} each, every {duration(offer.audit_interval)}"),
            ("answer within", duration(offer.response_deadline)),
            ("least deposit", coins(offer.min_deposit, token)),
            ("least agreement", coins(offer.min_agreement_value, token)),
            ("longest agreement", duration(offer.max_agreement_seconds)),
            ("kept unpaid for", duration(offer.grace)),
            (
                "challenge period",
                f"{duration(offer.min_challenge_period)} to {duration(offer.max_challenge_period)}",
            ),
        ]
    )
