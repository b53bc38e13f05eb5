"""Vouchers: signed promises "this channel owes its payee so much in total", and the keys that sign them.

A voucher is cumulative (the newest replaces all before it, there is no nonce) and may carry a condition: the
hash of an audit's challenge, whose proof must then accompany the claim. Signatures are 64 bytes r || vs
(EIP-2098) with low s, the form the contract takes; they prove, but never identify, anything.

This is the hot path of both nodes: one packed buffer, two keccaks and one libsecp256k1 call per voucher.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from coincurve import PrivateKey, PublicKey

from payments.eip712 import Domain, address_word, keccak, type_hash, typed_digest, word
from payments.errors import (
    AmountOutOfRange,
    HighS,
    MalformedKey,
    MalformedSignature,
    UnrecoverableSignature,
    WrongLength,
    WrongSigner,
)
from payments.typed_data import TypedData
from payments.types import (
    MAX_AMOUNT,
    ZERO32,
    Address,
    Amount,
    ChannelId,
    Seconds,
    to_address,
    to_bytes32,
    to_uint,
)

CHANNEL_TYPE: Final = (
    "Channel(address payer,address signer,address payee,address token,uint32 challengePeriod,bytes32 salt)"
)
VOUCHER_TYPE: Final = "Voucher(bytes32 channelId,uint96 cumulativeAmount,bytes32 condition)"

_CHANNEL_TYPE_HASH: Final = type_hash(CHANNEL_TYPE)
_VOUCHER_TYPE_HASH: Final = type_hash(VOUCHER_TYPE)
_ORDER: Final = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
_HALF_ORDER: Final = word(_ORDER // 2)
_SALT_TAG: Final = b"tithebarn channel salt"
_WORD_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class Terms:
    """What a channel is for ever; its id is their hash. Addresses 20 bytes, salt 32, the period a uint32."""

    payer: Address
    signer: Address
    payee: Address
    token: Address
    challenge_period: Seconds
    salt: bytes

    def __post_init__(self) -> None:
        to_address("payer", self.payer)
        to_address("signer", self.signer)
        to_address("payee", self.payee)
        to_address("token", self.token)
        to_uint("challenge_period", self.challenge_period, 32)
        to_bytes32("salt", self.salt)


@dataclass(frozen=True, slots=True)
class Voucher:
    """A promise of `cumulative_amount` base units in total. `condition` zero: claimable as it is."""

    channel_id: ChannelId
    cumulative_amount: Amount
    condition: bytes = ZERO32

    def __post_init__(self) -> None:
        if len(self.channel_id) != _WORD_BYTES:
            raise WrongLength("channel_id", len(self.channel_id), 32)
        if not 0 <= self.cumulative_amount <= MAX_AMOUNT:
            raise AmountOutOfRange(self.cumulative_amount)
        if len(self.condition) != _WORD_BYTES:
            raise WrongLength("condition", len(self.condition), 32)

    @property
    def conditional(self) -> bool:
        """Whether a claim needs the proof of a challenge."""
        return self.condition != ZERO32


@dataclass(frozen=True, slots=True)
class SignedVoucher:
    """A voucher and its signature, 64 bytes (EIP-2098). Building one checks the form, not the signer."""

    voucher: Voucher
    signature: bytes

    def __post_init__(self) -> None:
        if len(self.signature) != _SIGNATURE_BYTES:
            raise MalformedSignature(len(self.signature))

    @property
    def total(self) -> Amount:
        """The cumulative amount promised."""
        return self.voucher.cumulative_amount


def channel_salt(genesis_hash: bytes, life: int) -> bytes:
    """Salt of a channel's `life`-th life (0, 1, 2...) on the chain with this genesis block: 32 bytes."""
    return sha256(
        _SALT_TAG + to_bytes32("genesis_hash", genesis_hash) + to_uint("life", life, 64).to_bytes(8)
    ).digest()


def channel_id(domain: Domain, terms: Terms) -> ChannelId:
    """Compute the channel's id, the EIP-712 hash of its terms. Known before anything is on the chain."""
    struct_hash = keccak(
        _CHANNEL_TYPE_HASH
        + address_word(terms.payer)
        + address_word(terms.signer)
        + address_word(terms.payee)
        + address_word(terms.token)
        + word(terms.challenge_period)
        + terms.salt
    )
    return ChannelId(typed_digest(domain, struct_hash))


def voucher_digest(domain: Domain, voucher: Voucher) -> bytes:
    """Compute the EIP-712 hash that the channel's signer signs: 32 bytes."""
    return keccak(
        domain.prefix
        + keccak(
            _VOUCHER_TYPE_HASH
            + voucher.channel_id
            + voucher.cumulative_amount.to_bytes(32, "big")
            + voucher.condition
        )
    )


class SigningKey:
    """A secp256k1 secret that signs digests. Neither `repr` nor `str` nor pickling shows the secret."""

    __slots__ = ("_key", "address")

    address: Address
    """Who signs: 20 bytes."""

    def __init__(self, secret: bytes) -> None:
        """Take the 32 secret bytes (MalformedKey when they are none); making them is the caller's affair."""
        if len(secret) != _WORD_BYTES or not 0 < int.from_bytes(secret) < _ORDER:
            raise MalformedKey
        self._key = PrivateKey(secret)
        self.address = _address(self._key.public_key)

    def __repr__(self) -> str:
        return f"SigningKey(address=0x{self.address.hex()})"

    def __reduce__(self) -> str:
        raise TypeError("a SigningKey is not pickled: its secret would leave with it")

    @property
    def secret(self) -> bytes:
        """The 32 secret bytes, for keystores and transaction signing. Never logged or stored in the clear."""
        return self._key.secret

    def sign(self, digest: bytes) -> bytes:
        """Sign a 32-byte digest: 64 bytes r || vs (EIP-2098), s low, nonce after RFC 6979 (deterministic).

        Raises WrongLength.
        """
        if len(digest) != _WORD_BYTES:
            raise WrongLength("digest", len(digest), 32)
        raw = self._key.sign_recoverable(digest, hasher=None)
        # A recovery id of 2 or 3 (r beyond the group order, once in 2**127) has no EIP-2098 form: it raises.
        return raw[:32] + bytes((raw[32] | raw[64] << 7,)) + raw[33:64]

    def sign_typed(self, data: TypedData) -> bytes:
        """Sign typed data: 64 bytes. A key that is elsewhere shows its owner the words."""
        return self.sign(data.digest)


def recover_signer(digest: bytes, signature: bytes) -> Address:
    """Recover who signed the 32-byte `digest`. Raises MalformedSignature, HighS or UnrecoverableSignature.

    Recovers rather than verifies against a known key: that is what the contract does, and it catches a wrong
    parity bit, which plain ECDSA verification would let through.
    """
    if len(signature) != _SIGNATURE_BYTES:
        raise MalformedSignature(len(signature))
    top = signature[32]
    s = bytes((top & 0x7F,)) + signature[33:]
    if s > _HALF_ORDER:
        raise HighS(signature)
    try:
        key = PublicKey.from_signature_and_message(
            signature[:32] + s + bytes((top >> 7,)), digest, hasher=None
        )
    except ValueError as error:
        if len(digest) != _WORD_BYTES:
            raise WrongLength("digest", len(digest), 32) from error
        raise UnrecoverableSignature(signature) from error
    return _address(key)


def sign_voucher(domain: Domain, voucher: Voucher, key: SigningKey) -> SignedVoucher:
    """Sign a voucher. The caller has written its total down durably before this leaves the node."""
    return SignedVoucher(voucher, key.sign(voucher_digest(domain, voucher)))


def voucher_signer(domain: Domain, signed: SignedVoucher) -> Address:
    """Recover who signed this voucher in this domain. Raises HighS or UnrecoverableSignature.

    Needs no channel: it can be done before a transaction and beside one (libsecp256k1 runs without the GIL).
    """
    return recover_signer(voucher_digest(domain, signed.voucher), signed.signature)


def verify_voucher(domain: Domain, signed: SignedVoucher, signer: Address) -> None:
    """Check that `signer` signed this voucher in this domain: returns nothing, or raises a SignatureError."""
    recovered = voucher_signer(domain, signed)
    if recovered != signer:
        raise WrongSigner(signer, recovered)


def _address(key: PublicKey) -> Address:
    """Last 20 bytes of the keccak of the uncompressed point without its 0x04 (Yellow Paper, appendix F)."""
    return Address(keccak(key.format(compressed=False)[1:])[12:])
