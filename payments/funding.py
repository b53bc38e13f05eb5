"""What a payer signs so that others, or a contract, may move its tokens into channels.

Three ways, none of which can pay for anything else: an ERC-2612 permit lets PaymentChannels take a sum from
whoever calls it; an EIP-3009 authorization and a Permit2 transfer carry a `Funding`, the very rows, as their
nonce or witness. Digests are packed by hand, as those of vouchers are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from payments.eip712 import Domain, address_word, foreign_digest, keccak, type_hash, typed_digest, word
from payments.errors import MalformedSignature
from payments.typed_data import DomainFields, TypedData
from payments.types import Address, Seconds, to_address, to_bytes32, to_uint
from payments.vouchers import SigningKey

FUNDING_TYPE: Final = (
    "Funding(address payer,address signer,address token,uint32 challengePeriod,bytes32 salt,bytes32[] rows)"
)
PERMIT_TYPE: Final = "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
RECEIVE_TYPE: Final = (
    "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,"
    "bytes32 nonce)"
)
PERMISSIONS_TYPE: Final = "TokenPermissions(address token,uint256 amount)"
TRANSFER_TYPE: Final = (
    "PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,"
    "Funding witness)"
)
PERMIT2_DOMAIN_TYPE: Final = "EIP712Domain(string name,uint256 chainId,address verifyingContract)"
PERMIT2: Final = Address(bytes.fromhex("000000000022d473030f116ddee9f6b43ac78ba3"))
"""Permit2's address, on every chain."""

_FUNDING_TYPE_HASH: Final = type_hash(FUNDING_TYPE)
_PERMIT_TYPE_HASH: Final = type_hash(PERMIT_TYPE)
_RECEIVE_TYPE_HASH: Final = type_hash(RECEIVE_TYPE)
_PERMISSIONS_TYPE_HASH: Final = type_hash(PERMISSIONS_TYPE)
_TRANSFER_TYPE_HASH: Final = type_hash(TRANSFER_TYPE + FUNDING_TYPE + PERMISSIONS_TYPE)
_SIGNATURE_BYTES: Final = 64
_PARITY_BIT: Final = 255


@dataclass(frozen=True, slots=True)
class Funding:
    """Channels of one payer and the totals they are to be raised to; `rows` are payee (20) || target (12)."""

    payer: Address
    signer: Address
    token: Address
    challenge_period: Seconds
    salt: bytes
    rows: tuple[bytes, ...]

    def __post_init__(self) -> None:
        to_address("payer", self.payer)
        to_address("signer", self.signer)
        to_address("token", self.token)
        to_uint("challenge_period", self.challenge_period, 32)
        to_bytes32("salt", self.salt)
        for row in self.rows:
            to_bytes32("row", row)


@dataclass(frozen=True, slots=True)
class Permit:
    """What ERC-2612 has an owner sign: `spender` may take `value` base units until unix time `deadline`."""

    owner: Address
    spender: Address
    value: int
    nonce: int
    deadline: int


@dataclass(frozen=True, slots=True)
class Authorization:
    """What EIP-3009 has a payer sign for the receiver: exactly `value`, after and before these unix times."""

    payer: Address
    receiver: Address
    value: int
    valid_after: int
    valid_before: int
    nonce: bytes


@dataclass(frozen=True, slots=True)
class WitnessedTransfer:
    """What Permit2 has a payer sign: at most `amount`, once a `nonce` (in any order), until `deadline`."""

    token: Address
    amount: int
    spender: Address
    nonce: int
    deadline: int
    funding: Funding


@dataclass(frozen=True, slots=True)
class SplitSignature:
    """A signature in the three parts that tokens want: v 27 or 28, r and s 32 bytes."""

    v: int
    r: bytes
    s: bytes


def funding_hash(funding: Funding) -> bytes:
    """Hash the struct alone: 32 bytes, the witness of a Permit2 transfer."""
    return keccak(
        _FUNDING_TYPE_HASH
        + address_word(funding.payer)
        + address_word(funding.signer)
        + address_word(funding.token)
        + word(funding.challenge_period)
        + funding.salt
        + keccak(b"".join(funding.rows))
    )


def funding_digest(domain: Domain, funding: Funding) -> bytes:
    """Compute the nonce of an EIP-3009 authorization for this funding: 32 bytes."""
    return typed_digest(domain, funding_hash(funding))


def permit_digest(separator: bytes, permit: Permit) -> bytes:
    """Compute what the owner signs; `separator` is that of the token's own domain. Source: ERC-2612."""
    struct_hash = keccak(
        _PERMIT_TYPE_HASH
        + address_word(permit.owner)
        + address_word(permit.spender)
        + word(permit.value)
        + word(permit.nonce)
        + word(permit.deadline)
    )
    return foreign_digest(separator, struct_hash)


def authorization_digest(separator: bytes, it: Authorization) -> bytes:
    """Compute what the payer signs; `separator` is that of the token's own domain. Source: EIP-3009."""
    struct_hash = keccak(
        _RECEIVE_TYPE_HASH
        + address_word(it.payer)
        + address_word(it.receiver)
        + word(it.value)
        + word(it.valid_after)
        + word(it.valid_before)
        + to_bytes32("nonce", it.nonce)
    )
    return foreign_digest(separator, struct_hash)


def transfer_digest(chain_id: int, it: WitnessedTransfer) -> bytes:
    """Compute what the payer signs for Permit2, at its address on this chain."""
    separator = keccak(
        type_hash(PERMIT2_DOMAIN_TYPE) + keccak(b"Permit2") + word(chain_id) + address_word(PERMIT2)
    )
    permitted = keccak(_PERMISSIONS_TYPE_HASH + address_word(it.token) + word(it.amount))
    struct_hash = keccak(
        _TRANSFER_TYPE_HASH
        + permitted
        + address_word(it.spender)
        + word(it.nonce)
        + word(it.deadline)
        + funding_hash(it.funding)
    )
    return foreign_digest(separator, struct_hash)


def sign_permit(
    separator: bytes, permit: Permit, key: SigningKey, domain: DomainFields | None = None
) -> SplitSignature:
    """Sign as the owner; a key that is elsewhere needs the token's `domain` in words."""
    digest = permit_digest(separator, permit)
    message = {
        "owner": permit.owner,
        "spender": permit.spender,
        "value": permit.value,
        "nonce": permit.nonce,
        "deadline": permit.deadline,
    }
    return _sign_for_token(key, digest, domain, PERMIT_TYPE, message)


def sign_authorization(
    separator: bytes, it: Authorization, key: SigningKey, domain: DomainFields | None = None
) -> SplitSignature:
    """Sign as the payer; a key that is elsewhere needs the token's `domain` in words."""
    digest = authorization_digest(separator, it)
    message = {
        "from": it.payer,
        "to": it.receiver,
        "value": it.value,
        "validAfter": it.valid_after,
        "validBefore": it.valid_before,
        "nonce": it.nonce,
    }
    return _sign_for_token(key, digest, domain, RECEIVE_TYPE, message)


def _sign_for_token(
    key: SigningKey, digest: bytes, domain: DomainFields | None, kind: str, message: Mapping[str, object]
) -> SplitSignature:
    if domain is None:
        return split_signature(key.sign(digest))
    return split_signature(key.sign_typed(TypedData(domain, (kind,), message, digest)))


def sign_transfer(chain_id: int, it: WitnessedTransfer, key: SigningKey) -> bytes:
    """Sign as the payer, wherever its key is: 64 bytes (EIP-2098), which Permit2 takes as they are."""
    funding = it.funding
    witness = {
        "payer": funding.payer,
        "signer": funding.signer,
        "token": funding.token,
        "challengePeriod": funding.challenge_period,
        "salt": funding.salt,
        "rows": funding.rows,
    }
    message = {
        "permitted": {"token": it.token, "amount": it.amount},
        "spender": it.spender,
        "nonce": it.nonce,
        "deadline": it.deadline,
        "witness": witness,
    }
    domain = DomainFields("Permit2", None, chain_id, PERMIT2)
    types = (TRANSFER_TYPE, FUNDING_TYPE, PERMISSIONS_TYPE)
    return key.sign_typed(TypedData(domain, types, message, transfer_digest(chain_id, it)))


def split_signature(signature: bytes) -> SplitSignature:
    """Take the 64 bytes of EIP-2098 apart. Raises MalformedSignature."""
    if len(signature) != _SIGNATURE_BYTES:
        raise MalformedSignature(len(signature))
    vs = int.from_bytes(signature[32:])
    return SplitSignature(27 + (vs >> _PARITY_BIT), signature[:32], word(vs & ((1 << _PARITY_BIT) - 1)))
