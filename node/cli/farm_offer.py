"""`tithe farm prices` and `settings`: what a farmer asks, accepts and allows, and changing it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli.amounts import (
    coins,
    duration,
    parse_duration,
    parse_number,
    parse_size,
    size,
    to_base_units,
)
from node.cli.errors import NotDone
from node.cli.identifiers import show_address
from node.cli.keys import resolve_owner
from node.cli.options import ChainName, Json
from node.cli.output import note, print_json, show_facts
from node.cli.session import home, on_chain, token_info
from payments.types import MAX_AMOUNT
from settlement.fees import GWEI

if TYPE_CHECKING:
    from node.farmer.config import FarmerConfig, Offer
    from payments.types import Address
    from settlement.client import TokenInfo

group = typer.Typer()


def _amount(flag: str, what: str) -> Any:  # noqa: ANN401 - typer's own marker
    return typer.Option(flag, metavar="TOKENS", help=what, show_default=False)


def _span(flag: str, what: str) -> Any:  # noqa: ANN401 - typer's own marker
    return typer.Option(flag, metavar="DURATION", help=what, show_default=False)


StoragePrice = Annotated[str | None, _amount("--storage", "Asked for a GB stored for 30 days.")]
DownloadPrice = Annotated[str | None, _amount("--download", "Asked for a GB read.")]
AuditPrice = Annotated[str | None, _amount("--audit", "Asked for an audit, on top of the storage.")]
MinDeposit = Annotated[str | None, _amount("--min-deposit", "What a channel must hold first.")]
MinValue = Annotated[str | None, _amount("--min-value", "What an agreement must be worth over its life.")]
Interval = Annotated[str | None, _span("--interval", "From one audit to the next, such as 24h.")]
Deadline = Annotated[str | None, _span("--deadline", "Time to answer an audit.")]
Grace = Annotated[str | None, _span("--grace", "Unpaid shards are kept for so long.")]
LongestTerm = Annotated[str | None, _span("--longest-term", "Agreements run for at most so long.")]
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
    prices = _changed(
        _amounts(decimals, storage_per_gb_month=storage, download_per_gb=download, per_audit=audit)
    )
    sums: dict[str, Any] = _changed(
        _amounts(decimals, min_deposit=min_deposit, min_agreement_value=min_value)
    )
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


def offer_for(decimals: int, challenge_period: int) -> "Offer":
    """Scale the usual offer to the token's decimals, and accept the challenge period of the chain."""
    from node.farmer.config import TOKEN, Offer
    from payments.types import Amount, Seconds

    usual = Offer()

    def scaled(amount: int) -> Amount:
        return Amount(-(-amount * 10**decimals // TOKEN))

    return replace(
        usual,
        prices=replace(
            usual.prices,
            storage_per_gb_month=scaled(usual.prices.storage_per_gb_month),
            download_per_gb=scaled(usual.prices.download_per_gb),
            per_audit=scaled(usual.prices.per_audit),
        ),
        min_deposit=scaled(usual.min_deposit),
        min_challenge_period=Seconds(min(usual.min_challenge_period, challenge_period)),
    )


def config_for(token: "TokenInfo", payee: "Address", offer: "Offer") -> "FarmerConfig":
    """Start a configuration: the usual limits in the token's decimals, claims from one token on."""
    from node.farmer.config import TOKEN, FarmerConfig
    from payments.types import Amount

    usual = FarmerConfig(payee, (token.address,), offer=offer)
    return replace(
        usual,
        max_exposure=Amount(-(-usual.max_exposure * 10**token.decimals // TOKEN)),
        claims=replace(usual.claims, min_amount=Amount(10**token.decimals)),
    )


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


@group.command()
def settings(
    payee: Annotated[
        str | None,
        typer.Option(
            "--payee", metavar="WALLET|ADDRESS", help="Who is paid. For new channels.", show_default=False
        ),
    ] = None,
    host: Annotated[str | None, typer.Option("--host", help="Where to listen.", show_default=False)] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="Where to listen.", show_default=False)
    ] = None,
    url: Annotated[
        list[str] | None,
        typer.Option("--url", metavar="URL", help="How others reach this farmer.", show_default=False),
    ] = None,
    capacity: Capacity = None,
    keep_free: Annotated[
        str | None,
        typer.Option(
            "--keep-free", metavar="SIZE", help="Leave so much of the disk free.", show_default=False
        ),
    ] = None,
    trash_days: Annotated[
        int | None,
        typer.Option(
            "--trash-days",
            metavar="N",
            min=0,
            help="Keep ended shards for so long, while there is room.",
            show_default=False,
        ),
    ] = None,
    scan_rate: Annotated[
        str | None,
        typer.Option(
            "--scan-rate",
            metavar="SIZE",
            help="Read so much a second to find damage; 0: nothing.",
            show_default=False,
        ),
    ] = None,
    exposure: Annotated[str | None, _amount("--exposure", "What one renter may owe.")] = None,
    claim_min: Annotated[str | None, _amount("--claim-min", "Smaller sums wait.")] = None,
    claim_age: Annotated[str | None, _span("--claim-age", "... but not longer than this.")] = None,
    claim_fee: Annotated[
        int | None,
        typer.Option(
            "--claim-fee",
            metavar="PERCENT",
            min=0,
            help="A claim's fee may be so much of it.",
            show_default=False,
        ),
    ] = None,
    claim_above: Annotated[
        str | None, _amount("--claim-above", "From here on, claim whatever the fee.")
    ] = None,
    ether_price: Annotated[
        str | None, _amount("--ether-price", "What an ether is worth, to weigh fees.")
    ] = None,
    contract_signers: Annotated[
        bool | None,
        typer.Option(
            "--contract-signers/--no-contract-signers",
            help="Accept channels that a contract signs for (ERC-1271).",
            show_default=False,
        ),
    ] = None,
    max_gas_fee: Annotated[
        float | None,
        typer.Option(
            "--max-gas-fee", metavar="GWEI", min=0, help="A unit of gas may cost so much.", show_default=False
        ),
    ] = None,
    deadline_gas_fee: Annotated[
        float | None,
        typer.Option(
            "--deadline-gas-fee",
            metavar="GWEI",
            min=0,
            help="... and so much when a payer asked to close and it is worth it.",
            show_default=False,
        ),
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            "--metrics-port",
            metavar="N",
            min=0,
            max=65535,
            help="Let a Prometheus on this machine read here; 0: nowhere.",
            show_default=False,
        ),
    ] = None,
    chain: ChainName = None,
    as_json: Json = False,
) -> None:
    """Show how this farmer runs and when it claims; with options, change it.

    A running farmer follows at once, except in its payee, host, ports and URL:
    for these, start it again.

    A contract can refuse tomorrow what it signs today. With --contract-signers its
    vouchers are taken, and count as unpaid until they are claimed: what a renter
    may owe is all that you can lose. Without, new such channels are refused.

    For example:

        tithe farm settings
        tithe farm settings --capacity 500GB --claim-min 5 --claim-age 14d
        tithe farm settings --ether-price 3000 --claim-fee 10
    """
    check_amounts(exposure, claim_min, claim_above, ether_price)
    before = load_config()
    token = on_chain(chain, token_info)
    claims = _changed(
        {
            **_amounts(token.decimals, min_amount=claim_min, max_exposure=claim_above),
            "max_age": None if claim_age is None else parse_duration(claim_age),
            "max_fee_share": claim_fee,
        }
    )
    config = replace(
        before,
        claims=replace(before.claims, **claims),
        **_changed(
            {
                "payee": None if payee is None else resolve_owner(payee)[1],
                "host": host,
                "port": port,
                "urls": tuple(url) if url else None,
                "capacity": None if capacity is None else parse_size(capacity),
                "keep_free": None if keep_free is None else parse_size(keep_free),
                "trash_seconds": None if trash_days is None else trash_days * 86_400,
                "scan_rate": None if scan_rate is None else parse_size(scan_rate),
                "accept_contract_signers": contract_signers,
                "max_gas_fee": _wei(max_gas_fee),
                "deadline_gas_fee": _wei(deadline_gas_fee),
                **_amounts(token.decimals, max_exposure=exposure, gas_price=ether_price),
            }
        ),
    )
    if metrics_port is not None:
        config = replace(config, metrics_port=metrics_port or None)
    if config != before:
        config.save(home().farm_config)
        note("Changed.")
    if as_json:
        print_json({"token": token, "settings": config})
    else:
        _show_settings(config, token)


def load_config() -> "FarmerConfig":
    """Read the farmer's configuration. Raises NotDone where there is none, DamagedFile."""
    from node.farmer.config import FarmerConfig

    try:
        return FarmerConfig.load(home().farm_config)
    except FileNotFoundError:
        raise NotDone("no farmer is set up here: tithe farm init") from None


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


def _show_settings(config: "FarmerConfig", token: "TokenInfo") -> None:
    from settlement.outbox import DEFAULT_CEILING

    policy = config.claims
    above = "never" if policy.max_exposure == MAX_AMOUNT else f"from {coins(policy.max_exposure, token)}"
    ether = "unknown: fees are not weighed" if config.gas_price is None else coins(config.gas_price, token)
    show_facts(
        [
            ("payee", show_address(config.payee)),
            ("listens at", f"{config.host}:{config.port or 'any free port'}"),
            ("URLs", ", ".join(config.urls) or "where it listens"),
            ("capacity", f"{size(config.capacity)}, {size(config.keep_free)} of the disk are left free"),
            ("ended shards", f"stay in the trash for {config.trash_seconds // 86_400} days"),
            ("search for damage", f"reads {size(config.scan_rate)} a second"),
            ("a renter may owe", coins(config.max_exposure, token)),
            ("contract signers", "accepted" if config.accept_contract_signers else "refused"),
            ("claims from", f"{coins(policy.min_amount, token)}, or after {duration(policy.max_age)}"),
            ("fee of a claim", f"at most {policy.max_fee_share} % of it"),
            ("claims at any fee", above),
            ("a unit of gas", f"at most {_gwei(config.max_gas_fee or DEFAULT_CEILING)}"),
            ("... at a deadline", f"at most {_gwei(config.deadline_gas_fee)}"),
            ("metrics", f"http://127.0.0.1:{config.metrics_port}/metrics" if config.metrics_port else "no"),
            ("an ether is worth", ether),
        ]
    )


def check_amounts(*texts: str | None) -> None:
    """Refuse what is no amount before anything else is done."""
    for text in texts:
        if text is not None:
            parse_number(text)


def _amounts(decimals: int, **texts: str | None) -> dict[str, int | None]:
    return {
        name: None if text is None else to_base_units(parse_number(text), decimals)
        for name, text in texts.items()
    }


def _wei(gwei: float | None) -> int | None:
    return None if gwei is None else round(gwei * GWEI)


def _gwei(wei: int) -> str:
    return f"{wei / GWEI:g} gwei"


def _changed(typed: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in typed.items() if value is not None}
