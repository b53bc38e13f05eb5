"""Gifts on local chains: tokens from the rich account that holds them, gas money out of nothing."""

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.amounts import ETHER_DECIMALS, to_base_units, tokens
from node.cli.errors import NotDone
from node.cli.identifiers import show_address
from payments.types import Address, Amount

if TYPE_CHECKING:
    from payments.vouchers import SigningKey
    from settlement.client import Chain
    from settlement.deployment import Deployment
    from settlement.rpc import Rpc

ENOUGH_GAS = 10**18
DEFAULT_GIFT = "1000"
DEFAULT_GAS_GIFT = "10"

TokenGift = Annotated[str, typer.Option("--tokens", metavar="AMOUNT", help="Tokens to give, such as 12.5.")]
GasGift = Annotated[str, typer.Option("--eth", metavar="AMOUNT", help="Ether to give, for gas.")]


@dataclass(frozen=True, slots=True)
class Gift:
    """What somebody got."""

    name: str
    address: Address
    tokens: Amount
    wei: Amount
    symbol: str
    decimals: int

    @property
    def shown(self) -> str:
        """Say it for people."""
        parts = [tokens(self.tokens, self.decimals, self.symbol)] if self.tokens else []
        parts += [tokens(self.wei, ETHER_DECIMALS, "ETH")] if self.wei else []
        return " and ".join(parts) or "nothing"


def require_local(record: "Deployment") -> None:
    """Refuse what only a local chain can do. Raises NotDone."""
    if not record.local:
        raise NotDone(f"{record.name} is no local chain: its money is real, and its clock nobody's to move")


async def rich_key(rpc: "Rpc") -> "SigningKey":
    """Return the key of a local chain's first rich account, with gas money for sure."""
    from settlement.local_chain import dev_keys, give

    key = dev_keys(1)[0]
    if await rpc.balance(key.address) < ENOUGH_GAS:
        await give(rpc, key.address, ENOUGH_GAS)
    return key


async def give_gas(chain: "Chain", to: Address, wei: int) -> None:
    """Make gas money appear. Raises NotDone where the chain is not local."""
    from settlement.local_chain import give

    require_local(chain.deployment)
    await give(chain.rpc, to, wei)


async def give_both(chain: "Chain", name: str | None, to: Address, coins: Decimal, ether: Decimal) -> Gift:
    """Give tokens and gas money; amounts in whole tokens and ether. Raises NotDone."""
    from settlement.transactions import send_now

    require_local(chain.deployment)
    info = await chain.token_info()
    amount = to_base_units(coins, info.decimals)
    wei = to_base_units(ether, ETHER_DECIMALS)
    if wei:
        await give_gas(chain, to, wei)
    if amount:
        giver = await rich_key(chain.rpc)
        if (held := await chain.token_balance(giver.address)) < amount:
            left = tokens(held, info.decimals, info.symbol)
            raise NotDone(f"the local chain's rich account {show_address(giver.address)} has only {left}")
        call = chain.calls.transfer(to, amount)
        await send_now(chain.rpc, giver, call.to, call.data)
    return Gift(name or show_address(to), to, amount, wei, info.symbol, info.decimals)
