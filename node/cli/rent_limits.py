"""`tithe rent limits`: the most that this renter agrees to, whatever farmers ask; kept beside its keys.

Amounts stand in the file as they were typed, in tokens, for they hold on every chain of this home.
"""

from dataclasses import replace
from decimal import ROUND_UP, Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from node.cli.amounts import coins, duration, parse_duration, parse_number, to_base_units
from node.cli.options import ChainName, Json
from node.cli.output import amount, note, print_json, show_facts
from node.cli.session import home, on_chain, token_info
from node.errors import DamagedFile
from node.home import Home, make_private_directory, read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from node.renter.limits import Limits
    from payments.types import Amount
    from settlement.client import Chain, TokenInfo

group = typer.Typer()

_SUMS: Final = ("storage_per_gb_month", "download_per_gb", "per_audit")
_SPANS: Final = ("shortest_interval", "longest_interval", "response_deadline", "challenge_period")


def limits_of(place: Home, decimals: int) -> "Limits":
    """Read the limits of this home, in a token of so many decimals. Raises DamagedFile, BadAmount."""
    return _read(_stored(place), place.renter_limits, decimals)


def _read(stored: "Mapping[str, Any]", path: "Path", decimals: int) -> "Limits":
    from node.renter.limits import USUAL, scaled

    limits = scaled(USUAL, decimals)
    try:
        sums = {name: _units(Decimal(stored[name]), decimals) for name in _SUMS if name in stored}
        spans: dict[str, Any] = {name: int(stored[name]) for name in _SPANS if name in stored}
    except (InvalidOperation, TypeError, ValueError) as error:
        raise DamagedFile(path, "a limit makes no sense") from error
    if unknown := set(stored) - {*_SUMS, *_SPANS}:
        raise DamagedFile(path, f"unknown entry {min(unknown)!r}")
    return replace(limits, prices=replace(limits.prices, **sums), **spans)


def _units(number: Decimal, decimals: int) -> "Amount":
    """Scale tokens to base units, up to a whole one: another chain's token may be coarser."""
    return to_base_units(number.quantize(Decimal(1).scaleb(-decimals), ROUND_UP), decimals)


def _sum(flag: str, what: str) -> Any:  # noqa: ANN401 - typer's own marker
    return typer.Option(flag, metavar="TOKENS", help=what, show_default=False)


def _span(flag: str, what: str) -> Any:  # noqa: ANN401 - typer's own marker
    return typer.Option(flag, metavar="DURATION", help=what, show_default=False)


@group.command()
def limits(
    storage: Annotated[str | None, _sum("--storage", "For a GB stored for 30 days.")] = None,
    download: Annotated[str | None, _sum("--download", "For a GB read.")] = None,
    audit: Annotated[str | None, _sum("--audit", "For an audit, on top of the storage.")] = None,
    shortest: Annotated[
        str | None, _span("--shortest-interval", "From one audit to the next, at least.")
    ] = None,
    longest: Annotated[str | None, _span("--longest-interval", "... and at most: each pays for one.")] = None,
    deadline: Annotated[str | None, _span("--deadline", "To answer an audit.")] = None,
    challenge_period: Annotated[
        str | None, _span("--challenge-period", "From a channel's close to its withdrawal.")
    ] = None,
    chain: ChainName = None,
    as_json: Json = False,
) -> None:
    """Show the most that you agree to; with options, change it.

    A farmer may ask what it likes, at any time. What is above these limits is not
    signed: it gets no file, no renewal, no repair, no read and no channel. The
    limits are ten times what farmers ask by default, and hold for each farmer.

    For example:

        tithe rent limits
        tithe rent limits --storage 0.005 --download 0.01
        tithe rent limits --challenge-period 2d
    """
    place = home()
    sums = dict(zip(_SUMS, (storage, download, audit), strict=True))
    spans = dict(zip(_SPANS, (shortest, longest, deadline, challenge_period), strict=True))
    typed: dict[str, Any] = {name: str(parse_number(text)) for name, text in sums.items() if text}
    typed |= {name: int(parse_duration(text)) for name, text in spans.items() if text}

    async def work(connected: "Chain") -> "tuple[Limits, TokenInfo]":
        token = await token_info(connected, may_be_away=True)
        path, wanted = place.renter_limits, _stored(place) | typed
        for name in set(typed) & set(_SUMS):
            to_base_units(Decimal(typed[name]), token.decimals)  # as fine as this token, when it is said
        kept = _read(wanted, path, token.decimals)
        if typed:
            make_private_directory(path.parent)
            write_json(path, wanted)
        return kept, token

    kept, token = on_chain(chain, work, may_be_away=True)
    if as_json:
        print_json({"token": token, "limits": _document(kept)})
        return
    _show(kept, token)
    if typed:
        note("A running tithe rent run takes them when it is started again.")


def _stored(place: Home) -> dict[str, Any]:
    try:
        return read_json(place.renter_limits)
    except FileNotFoundError:
        return {}


def _document(kept: "Limits") -> dict[str, Any]:
    sums = {name: amount(getattr(kept.prices, name)) for name in _SUMS}
    return sums | {name: getattr(kept, name) for name in _SPANS}


def _show(kept: "Limits", token: "TokenInfo") -> None:
    prices = kept.prices
    between = f"{duration(kept.shortest_interval)} to {duration(kept.longest_interval)}"
    show_facts(
        [
            ("storage", f"at most {coins(prices.storage_per_gb_month, token)} for a GB and 30 days"),
            ("download", f"at most {coins(prices.download_per_gb, token)} for a GB"),
            ("audit", f"at most {coins(prices.per_audit, token)} each, every {between}"),
            ("answer within", f"at most {duration(kept.response_deadline)}"),
            ("challenge period", f"at most {duration(kept.challenge_period)}"),
        ]
    )
