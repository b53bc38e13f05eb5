"""The payer: a wallet of this home that signs, or a cold one for which the calls are printed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.amounts import ETHER_DECIMALS, tokens
from node.cli.errors import Unusable
from node.cli.identifiers import parse_address
from node.cli.keys import resolve_owner
from node.cli.output import note, print_json, show_facts
from node.cli.passwords import Passwords
from node.cli.renter import Access, Opened
from node.cli.session import wallet_name

if TYPE_CHECKING:
    from settlement.calls import Call

ColdPayer = Annotated[
    str | None,
    typer.Option(
        "--payer",
        metavar="ADDRESS",
        help="Who pays, when its key is not here; with --unsigned.",
        show_default=False,
    ),
]
Unsigned = Annotated[
    bool,
    typer.Option("--unsigned", help="Send nothing: print to, data and value for the payer's own wallet."),
]


def payer_access(
    passwords: Passwords, wallet: str | None, payer: str | None, *, unsigned: bool, signs: bool = False
) -> Access:
    """Decide in whose name, and with which key. Raises Unusable, NoWallet, BadHex."""
    if payer is not None and not unsigned:
        raise Unusable("--payer is for a key that is not here: add --unsigned, or name a --wallet")
    if unsigned:
        address = parse_address(payer) if payer else resolve_owner(wallet_name(wallet))[1]
        return Access(passwords, signs=signs, payer=address)
    name = wallet_name(wallet)
    return Access(passwords, signs=signs, payer=resolve_owner(name)[1], wallet=name)


def gas_shown(gas: int, cost: int) -> str:
    """Write gas and what it costs."""
    return f"about {gas:,}, which costs {tokens(cost, ETHER_DECIMALS, 'ETH')}"


def show_calls(calls: "Sequence[Call]", opened: Opened, *, as_json: bool) -> None:
    """Print calls as any wallet can send them, in order."""
    chain_id = opened.chain.deployment.chain_id
    if as_json:
        print_json(
            {
                "chain_id": chain_id,
                "calls": [{"to": call.to, "data": call.data, "value": str(call.value)} for call in calls],
            }
        )
        return
    for number, call in enumerate(calls, 1):
        show_facts(
            [("to", "0x" + call.to.hex()), ("data", "0x" + call.data.hex()), ("value", str(call.value))],
            title=f"Transaction {number} of {len(calls)}, chain {chain_id}",
        )
    note("Send them in this order; what comes of them is noticed by itself (tithe channel list).")
