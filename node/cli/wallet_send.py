"""`tithe wallet send`: tokens or ether to anybody, through the outbox that never sends twice."""

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.amounts import ETHER_DECIMALS, parse_number, to_base_units, tokens
from node.cli.errors import NotDone, Unusable
from node.cli.identifiers import show_address
from node.cli.keys import resolve_owner, unlock_wallet
from node.cli.options import ChainName, Json, PasswordFd, PasswordFile, WalletName, Yes
from node.cli.output import amount as as_text
from node.cli.output import confirm, print_json, say, waiting
from node.cli.passwords import Passwords
from node.cli.session import home, on_chain, token_info, wallet_name

if TYPE_CHECKING:
    from payments.types import Address
    from payments.vouchers import SigningKey
    from settlement.calls import Call
    from settlement.client import Chain
    from settlement.rpc import Receipt

group = typer.Typer()


@dataclass(frozen=True, slots=True)
class _Shipment:
    """What is about to be sent, and what it costs; `gas_cost` in wei."""

    call: "Call"
    amount: int
    shown: str
    gas: int
    gas_cost: int


@group.command()
def send(
    to: Annotated[str, typer.Argument(metavar="WALLET|ADDRESS", help="Who gets it.")],
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="How much, such as 12.5.")],
    ether: Annotated[bool, typer.Option("--eth", help="Send ether instead of tokens.")] = False,
    wallet: WalletName = None,
    chain: ChainName = None,
    yes: Yes = False,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
    as_json: Json = False,
) -> None:
    """Send tokens, or ether with --eth. Shows the fee and asks first.

    For example:

        tithe wallet send 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 12.5
        tithe wallet send savings 0.1 --eth --yes
    """
    number = parse_number(amount)
    if not number:
        raise Unusable("0 is nothing to send")
    target = resolve_owner(to)[1]
    source = resolve_owner(wallet_name(wallet))[1]
    passwords = Passwords(password_file, password_fd)

    async def work(chain: "Chain") -> "tuple[_Shipment, Receipt]":
        shipment = await _plan(chain, source, target, number, ether=ether)
        fee = tokens(shipment.gas_cost, ETHER_DECIMALS, "ETH")
        confirm(f"Send {shipment.shown} to {show_address(target)} for a fee of about {fee}?", yes=yes)
        key = unlock_wallet(wallet, passwords)
        with waiting("Sending", quiet=as_json):
            return shipment, await _send(chain, shipment.call, key)

    shipment, receipt = on_chain(chain, work)
    if as_json:
        print_json(
            {
                "to": target,
                "amount": as_text(shipment.amount),
                "ether": ether,
                "transaction": receipt.transaction,
                "gas": receipt.gas_used,
                "fee": as_text(receipt.fee),
            }
        )
        return
    fee = tokens(receipt.fee, ETHER_DECIMALS, "ETH")
    say(f"Sent {shipment.shown} to {show_address(target)}; the fee was {fee}.")
    say(f"Transaction 0x{receipt.transaction.hex()}")


async def _plan(
    chain: "Chain", source: "Address", to: "Address", number: Decimal, *, ether: bool
) -> _Shipment:
    """Look whether it can be sent and what that costs. Raises NotDone, Reverted."""
    from settlement.calls import Call

    token = await token_info(chain)
    decimals, symbol = (ETHER_DECIMALS, "ETH") if ether else (token.decimals, token.symbol)
    value = to_base_units(number, decimals)
    held = await (chain.balance(source) if ether else chain.token_balance(source))
    if held < value:
        raise NotDone(f"wallet {show_address(source)} has {tokens(held, decimals, symbol)}, less than that")
    call = Call(to, b"", value) if ether else chain.calls.transfer(to, value)
    gas = await chain.simulate(call, source)
    fees = await chain.rpc.fees()
    return _Shipment(call, value, tokens(value, decimals, symbol), gas, gas * fees.now)


async def _send(chain: "Chain", call: "Call", key: "SigningKey") -> "Receipt":
    """Send by the outbox of the renter's books, which every command with this key shares."""
    from settlement.database import Database
    from settlement.outbox import Outbox
    from settlement.tables import TABLES

    database = Database.at(home().renter_state(chain.deployment.folder).money, TABLES)
    try:
        outbox = Outbox(database, chain)
        return await outbox.wait(await outbox.submit("send", call, key))
    finally:
        database.close()
