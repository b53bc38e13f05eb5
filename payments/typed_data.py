"""Typed data spelled out: what EIP-712 hashes, for a signer elsewhere that shows its owner what it signs.

The digest beside it was packed by hand. A signature over anything but that digest is not taken, so words and
digest cannot tell different stories.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from payments.types import Address

_OWN: Final = {"name": "string", "version": "string", "chainId": "uint256", "verifyingContract": "address"}


@dataclass(frozen=True, slots=True)
class DomainFields:
    """A domain in words; `version` None where it has none (Permit2's)."""

    name: str
    version: str | None
    chain_id: int
    contract: Address


@dataclass(frozen=True, slots=True)
class TypedData:
    """One message: its type strings, the one that is signed first, its fields by name, its digest (32 bytes).

    Bytes in fields are addresses and hashes; a nested struct is a mapping.
    """

    domain: DomainFields
    types: tuple[str, ...]
    message: Mapping[str, Any]
    digest: bytes

    def to_json(self) -> dict[str, Any]:
        """Put it in the form that wallets take (eth_signTypedData_v4)."""
        named = self.domain
        said = {"name": named.name, "version": named.version, "chainId": named.chain_id}
        said |= {"verifyingContract": _plain(named.contract)}
        domain = {name: value for name, value in said.items() if value is not None}
        own = [{"name": name, "type": kind} for name, kind in _OWN.items() if name in domain]
        types = dict(map(_spell, self.types))
        return {
            "types": {"EIP712Domain": own, **types},
            "primaryType": next(iter(types)),
            "domain": domain,
            "message": _plain(self.message),
        }


def _spell(encoded: str) -> tuple[str, list[dict[str, str]]]:
    """Take a type string such as `Voucher(bytes32 channelId,...)` apart."""
    name, _, fields = encoded.removesuffix(")").partition("(")
    pairs = (field.split(" ") for field in fields.split(","))
    return name, [{"name": field, "type": kind} for kind, field in pairs]


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a field holds
    """Numbers as decimal text: JSON's do not carry 256 bits."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple) else value
