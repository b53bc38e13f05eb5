"""How troubles with farmers are shown: one line each, in tokens and not in base units."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from node.cli.output import safe, short, warn
from node.cli.units import in_tokens

if TYPE_CHECKING:
    from node.renter.reports import Fault
    from settlement.client import TokenInfo


def tell_fault(fault: "Fault", token: "TokenInfo") -> str:
    """Say what kind of trouble it was, and why."""
    return f"{fault.trouble.value}: {in_tokens(fault.reason, token.decimals, token.symbol)}"


def warn_of(faults: "Iterable[Fault]", token: "TokenInfo") -> None:
    """Warn of each trouble."""
    for fault in faults:
        warn(f"{short(fault.farmer)} {safe(tell_fault(fault, token))}")
