"""EIP-712 digests, packed by hand: one `bytes` per struct, one keccak each, nothing parsed at run time.

A digest is keccak256(0x1901 || domainSeparator || hashStruct(X)); the separator is computed once a `Domain`.
All typed data of Tithebarn (Channel, Voucher, Challenge, Agreement, NodeKey) lives in one domain. Others
build their own struct hashes from the encoders here: keccak(TYPE_HASH + word + word + ...).
"""

from dataclasses import dataclass, field
from typing import Final

from sha3 import keccak_256

from payments.typed_data import DomainFields
from payments.types import Address, to_address, to_uint

NAME: Final = "Tithebarn"
VERSION: Final = "1"
DOMAIN_TYPE: Final = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
_ADDRESS_PAD: Final = bytes(12)
_VERSION_BYTES: Final = b"\x19\x01"


def keccak(data: bytes) -> bytes:
    """Keccak-256 as Ethereum uses it: 32 bytes."""
    digest: bytes = keccak_256(data).digest()
    return digest


def type_hash(encoded_type: str) -> bytes:
    """Hash a type string such as `Voucher(bytes32 channelId,...)`: 32 bytes. Compute it once, at import."""
    return keccak(encoded_type.encode("ascii"))


def word(value: int) -> bytes:
    """Encode an unsigned integer of any width as 32 bytes, big-endian. OverflowError beyond uint256."""
    return value.to_bytes(32, "big")


def address_word(address: bytes) -> bytes:
    """Encode an address (20 bytes) as 32 bytes, left-padded."""
    return _ADDRESS_PAD + address


def domain_separator(name: str, version: str, chain_id: int, contract: bytes) -> bytes:
    """Hash a domain that has these four fields: 32 bytes. Source: EIP-712."""
    return keccak(
        type_hash(DOMAIN_TYPE)
        + keccak(name.encode())
        + keccak(version.encode())
        + word(to_uint("chain_id", chain_id, 256))
        + address_word(to_address("contract", contract))
    )


@dataclass(frozen=True, slots=True)
class Domain:
    """One deployment of PaymentChannels: which chain, which contract (20 bytes)."""

    chain_id: int
    contract: Address
    separator: bytes = field(init=False, repr=False, compare=False)
    """32 bytes, what the contract's domainSeparator() returns."""
    prefix: bytes = field(init=False, repr=False, compare=False)
    """0x1901 and the separator: the first 34 bytes of everything hashed in this domain."""

    @property
    def fields(self) -> DomainFields:
        """The same in words."""
        return DomainFields(NAME, VERSION, self.chain_id, self.contract)

    def __post_init__(self) -> None:
        separator = domain_separator(NAME, VERSION, self.chain_id, self.contract)
        object.__setattr__(self, "separator", separator)
        object.__setattr__(self, "prefix", _VERSION_BYTES + separator)


def typed_digest(domain: Domain, struct_hash: bytes) -> bytes:
    """Finish a digest: `struct_hash` is keccak(typeHash || fields), 32 bytes. Source: EIP-712, "encode"."""
    digest: bytes = keccak_256(domain.prefix + struct_hash).digest()
    return digest


def foreign_digest(separator: bytes, struct_hash: bytes) -> bytes:
    """Finish a digest in somebody else's domain, a token's or Permit2's, of which the separator is known."""
    return keccak(_VERSION_BYTES + separator + struct_hash)
