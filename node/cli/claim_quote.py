"""`tithe farm claim --dry-run`: what a claim would bring, cost and leave."""

from typing import TYPE_CHECKING

from node.cli.amounts import ETHER_DECIMALS, coins, counted, tokens
from node.cli.errors import NotDone
from node.cli.farm_owner import open_books
from node.cli.key_files import keystore_address
from node.cli.output import print_json, safe, say, short, show_facts
from node.cli.session import home, known_token, run
from node.clock import wall_clock
from payments.types import Timestamp

if TYPE_CHECKING:
    from node.farmer.config import FarmerConfig
    from node.farmer.quote_claims import ClaimQuote
    from settlement.client import TokenInfo
    from settlement.deployment import Deployment


def show_quote(config: "FarmerConfig", record: "Deployment", *, everything: bool, as_json: bool) -> None:
    """Plan, and print the plan."""
    quote = run(_quote(config, record, everything=everything))
    token = known_token(record)
    if as_json:
        print_json({"token": token, "quote": quote, "total": str(quote.total), "cost": str(quote.cost)})
    else:
        _show(quote, token)


async def _quote(config: "FarmerConfig", record: "Deployment", *, everything: bool) -> "ClaimQuote":
    from node.farmer.quote_claims import quote_claims
    from settlement.client import Chain

    place = home()
    sender = keystore_address(place.farm_gas_key)
    if sender is None:
        raise NotDone("this farmer has no gas key: tithe farm init")
    with open_books(place, config, record) as database:
        async with await Chain.connect(record.url, record) as chain:
            now, token = Timestamp(wall_clock()), known_token(record)
            return await quote_claims(
                config,
                database,
                chain,
                sender,
                now,
                everything=everything,
                show=lambda amount: coins(amount, token),
            )


def _show(quote: "ClaimQuote", token: "TokenInfo | None") -> None:
    fee = "" if quote.fee is None else f", worth {coins(quote.fee, token)}"
    show_facts(
        [
            ("would claim", f"{coins(quote.total, token)} from {counted(len(quote.claimed), 'channel')}"),
            ("transactions", f"{quote.transactions}, {quote.gas} gas"),
            ("fee", f"{tokens(quote.cost, ETHER_DECIMALS, 'ETH')}{fee}"),
            ("would leave", coins(sum(one.amount for one in quote.left), token)),
        ]
    )
    for one in quote.claimed:
        proof = " with a proof" if one.with_proof else ""
        say(f"{short(one.channel_id)}: {coins(one.amount, token)}{proof}.")
    for one in quote.left:
        say(f"{short(one.channel_id)}: {safe(one.why)}")
