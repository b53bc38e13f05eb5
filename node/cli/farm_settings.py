"""`tithe farm settings`: how a farmer runs, what it allows and when it claims, and changing it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli.amounts import check_amounts, coins, duration, parse_duration, parse_size, size, typed_amounts
from node.cli.farm_offer import Capacity
from node.cli.farm_owner import load_config
from node.cli.identifiers import show_address
from node.cli.keys import resolve_owner
from node.cli.options import HOST, PORT, ChainName, Json, Urls, amount_option, duration_option
from node.cli.output import note, print_json, show_facts
from node.cli.session import home, on_chain, token_info
from payments.types import MAX_AMOUNT
from settlement.fees import GWEI

if TYPE_CHECKING:
    from node.farmer.config import FarmerConfig
    from settlement.client import TokenInfo

group = typer.Typer()


@group.command()
def settings(
    payee: Annotated[
        str | None,
        typer.Option(
            "--payee", metavar="WALLET|ADDRESS", help="Who is paid. For new channels.", show_default=False
        ),
    ] = None,
    host: Annotated[str | None, HOST] = None,
    port: Annotated[int | None, PORT] = None,
    url: Urls = None,
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
    exposure: Annotated[str | None, amount_option("--exposure", "What one renter may owe.")] = None,
    claim_min: Annotated[str | None, amount_option("--claim-min", "Smaller sums wait.")] = None,
    claim_age: Annotated[str | None, duration_option("--claim-age", "... but not longer than this.")] = None,
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
        str | None, amount_option("--claim-above", "From here on, claim whatever the fee.")
    ] = None,
    ether_price: Annotated[
        str | None, amount_option("--ether-price", "What an ether is worth, to weigh fees.")
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
    claims = _typed(
        {
            **typed_amounts(token.decimals, min_amount=claim_min, max_exposure=claim_above),
            "max_age": None if claim_age is None else parse_duration(claim_age),
            "max_fee_share": claim_fee,
        }
    )
    config = replace(
        before,
        claims=replace(before.claims, **claims),
        **_typed(
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
                **typed_amounts(token.decimals, max_exposure=exposure, gas_price=ether_price),
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


def _wei(gwei: float | None) -> int | None:
    return None if gwei is None else round(gwei * GWEI)


def _gwei(wei: int) -> str:
    return f"{wei / GWEI:g} gwei"


def _typed(typed: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in typed.items() if value is not None}
