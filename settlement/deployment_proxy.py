"""The deployment proxy: a contract of a few bytes, at the same address on every chain, that deploys others.

Sent 32 bytes of salt and creation code it runs CREATE2 (EIP-1014), so what it makes has an address that
depends on salt and code alone. Nobody's key made it: its transaction has a signature chosen by hand, from
which follows a sender that can do nothing else. Whoever gives that sender its gas money may send it anywhere.
"""

from typing import Final

from payments.eip712 import keccak
from payments.types import Address
from payments.vouchers import SigningKey
from settlement.errors import NodeRefused
from settlement.rpc import Rpc
from settlement.transactions import check_funds, rlp, send_now, wait_mined

PROXY: Final = Address(bytes.fromhex("4e59b44847b379578588920ca78fbf26c0b4956c"))
SENDER: Final = Address(bytes.fromhex("3fab184622dc19b6109349b94811493bf2a45362"))
RUNTIME: Final = bytes.fromhex(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe0"  # push -32
    "36016000816020823780358282"  # copy what follows the salt to memory; CREATE2 with value and salt
    "34f58015156039578182fd5b8082525050506014600cf3"  # revert where it fails, else return 20 bytes
)
GAS_PRICE: Final = 100 * 10**9
GAS: Final = 100_000
_CREATION: Final = bytes.fromhex("604580600e600039806000f350fe") + RUNTIME
_CHOSEN: Final = int.from_bytes(b"\x22" * 32)
_V: Final = 27
"""Parity 0, without a chain id: valid on every chain that still takes the form before EIP-155."""

TRANSACTION: Final = rlp([0, GAS_PRICE, GAS, b"", 0, _CREATION, _V, _CHOSEN, _CHOSEN])
"""As it is broadcast."""


def address_of(salt: bytes, creation: bytes) -> Address:
    """Compute where the proxy puts the contract of this creation code; salt of 32 bytes (EIP-1014)."""
    return Address(keccak(b"\xff" + PROXY + salt + keccak(creation))[12:])


async def is_installed(rpc: Rpc) -> bool:
    """Whether the chain has the proxy."""
    return await rpc.code(PROXY) == RUNTIME


async def install(rpc: Rpc, key: SigningKey, *, seconds: float) -> None:
    """Bring the proxy to a chain that lacks it; `key` pays. Raises ChainError."""
    missing = GAS * GAS_PRICE - await rpc.balance(SENDER)
    if missing > 0:
        await check_funds(rpc, key.address, missing)
        await send_now(rpc, key, SENDER, value=missing, seconds=seconds)
    name = keccak(TRANSACTION)
    try:
        await rpc.send_raw(TRANSACTION)
    except NodeRefused:
        if not await rpc.knows(name):  # else somebody has sent it already
            raise
    await wait_mined(rpc, name, seconds)
