"""A storage agreement: what a renter and a farmer both sign before a shard is kept and audits are paid.

Terms never change; a new price is a new agreement. The renter's side is signed by its channels' signer
(EIP-712, secp256k1), the farmer's by its node key (Ed25519, over the agreement's id). It names no channel:
any accepted channel between the two pays. A signer says once which node it speaks for (NodeKey).
"""

from dataclasses import dataclass
from typing import Final

from node.errors import (
    AgreementExpired,
    AgreementTooLong,
    PriceTooLow,
    SelfDealing,
    ShardLengthOutOfBounds,
    StartOutOfBounds,
    TermDiffers,
    ValueTooLow,
    WrongFarmer,
    WrongFarmerSignature,
    WrongLeafCount,
    WrongNodeKeySignature,
    WrongRenterSignature,
)
from node.identity import NodeKey, verify_signature
from node.merkle import Commitment, leaf_count
from payments.eip712 import Domain, keccak, type_hash, typed_digest, word
from payments.errors import QuoteExpired, QuoteNotYetValid, SignatureError
from payments.prices import CLOCK_SKEW, Quote, agreement_value, step_price
from payments.types import Address, Amount, NodeId, Seconds, Timestamp, to_amount, to_bytes32, to_uint
from payments.vouchers import SigningKey, recover_signer

AGREEMENT_TYPE: Final = (
    "Agreement(bytes32 renter,bytes32 farmer,uint64 shardLength,uint64 leafCount,bytes32 dataRoot,"
    "uint96 step,uint32 auditInterval,uint32 responseDeadline,uint32 grace,uint96 downloadPrice,"
    "uint64 start,uint64 end)"
)
NODE_KEY_TYPE: Final = "NodeKey(bytes32 node)"
START_SLACK: Final = 3600
"""Seconds that an agreement's start may lie before or after the farmer's now."""

_AGREEMENT_TYPE_HASH: Final = type_hash(AGREEMENT_TYPE)
_NODE_KEY_TYPE_HASH: Final = type_hash(NODE_KEY_TYPE)
_FARMER_TAG: Final = b"tithebarn agreement 1\n"


@dataclass(frozen=True, slots=True)
class Agreement:
    """Who stores what for whom, from when to when, at what price.

    `step` is the price of one passed audit, `download_price` that of a GB read, both in base units; times are
    unix seconds, intervals seconds; `shard_length` bytes in `leaf_count` leaves under `data_root` (32 bytes).
    """

    renter: NodeId
    farmer: NodeId
    shard_length: int
    leaf_count: int
    data_root: bytes
    step: Amount
    audit_interval: Seconds
    response_deadline: Seconds
    grace: Seconds
    download_price: Amount
    start: Timestamp
    end: Timestamp

    def __post_init__(self) -> None:
        to_bytes32("renter", self.renter)
        to_bytes32("farmer", self.farmer)
        to_bytes32("data_root", self.data_root)
        to_amount(self.step)
        to_amount(self.download_price)
        for name in ("audit_interval", "response_deadline", "grace"):
            to_uint(name, getattr(self, name), 32)
        for name in ("shard_length", "leaf_count", "start", "end"):
            to_uint(name, getattr(self, name), 64)

    @property
    def commitment(self) -> Commitment:
        """What the farmer must be able to prove."""
        return Commitment(self.data_root, self.shard_length)


# Terms


def check_terms(agreement: Agreement, quote: Quote, now: int) -> None:
    """Check the terms against a quote whose signature has been verified; both sides do, before they sign.

    Prices may be above the quote, never below; audit interval, response deadline and grace are the quote's.
    Raises a BadAgreement: WrongFarmer, SelfDealing, AgreementExpired, StartOutOfBounds, AgreementTooLong,
    ShardLengthOutOfBounds, WrongLeafCount, TermDiffers, PriceTooLow, ValueTooLow. Or an error of payments:
    QuoteExpired, QuoteNotYetValid, AmountOutOfRange (the whole is worth more than an amount can say).
    """
    _check_parties(agreement, quote)
    _check_times(agreement, quote, now)
    _check_shard(agreement, quote)
    _check_prices(agreement, quote)


def _check_parties(agreement: Agreement, quote: Quote) -> None:
    if agreement.farmer != quote.farmer:
        raise WrongFarmer(agreement.farmer, quote.farmer)
    if agreement.renter == agreement.farmer:
        raise SelfDealing(agreement.renter)


def _check_times(agreement: Agreement, quote: Quote, now: int) -> None:
    if now >= quote.expires_at:
        raise QuoteExpired(quote.expires_at, now)
    if quote.issued_at > now + CLOCK_SKEW:
        raise QuoteNotYetValid(quote.issued_at, now)
    if agreement.end <= max(agreement.start, now):
        raise AgreementExpired(agreement.start, agreement.end, now)
    if abs(agreement.start - now) > START_SLACK:
        raise StartOutOfBounds(agreement.start, now - START_SLACK, now + START_SLACK)
    if agreement.end - agreement.start > quote.max_agreement_seconds:
        raise AgreementTooLong(agreement.end - agreement.start, quote.max_agreement_seconds)


def _check_shard(agreement: Agreement, quote: Quote) -> None:
    if not 1 <= agreement.shard_length <= quote.free_bytes:
        raise ShardLengthOutOfBounds(agreement.shard_length, quote.free_bytes)
    leaves = leaf_count(agreement.shard_length)
    if agreement.leaf_count != leaves:
        raise WrongLeafCount(agreement.leaf_count, leaves, agreement.shard_length)


def _check_prices(agreement: Agreement, quote: Quote) -> None:
    for term in ("audit_interval", "response_deadline", "grace"):
        ours, quoted = getattr(agreement, term), getattr(quote, term)
        if ours != quoted:
            raise TermDiffers(term, ours, quoted)
    step = step_price(quote.prices, agreement.shard_length, agreement.audit_interval)
    if agreement.step < step:
        raise PriceTooLow("step", agreement.step, step)
    if agreement.download_price < quote.prices.download_per_gb:
        raise PriceTooLow("download_price", agreement.download_price, quote.prices.download_per_gb)
    value = agreement_value(agreement.step, agreement.audit_interval, agreement.start, agreement.end)
    if value < quote.min_agreement_value:
        raise ValueTooLow(value, quote.min_agreement_value)


# Hashes


def agreement_id(domain: Domain, agreement: Agreement) -> bytes:
    """Compute the agreement's id, its EIP-712 hash: 32 bytes."""
    struct_hash = keccak(
        _AGREEMENT_TYPE_HASH
        + agreement.renter
        + agreement.farmer
        + word(agreement.shard_length)
        + word(agreement.leaf_count)
        + agreement.data_root
        + word(agreement.step)
        + word(agreement.audit_interval)
        + word(agreement.response_deadline)
        + word(agreement.grace)
        + word(agreement.download_price)
        + word(agreement.start)
        + word(agreement.end)
    )
    return typed_digest(domain, struct_hash)


def node_key_digest(domain: Domain, node: bytes) -> bytes:
    """Compute the EIP-712 hash by which a signer says "this node (32 bytes) speaks for me": 32 bytes."""
    return typed_digest(domain, keccak(_NODE_KEY_TYPE_HASH + to_bytes32("node", node)))


# Signatures


def sign_agreement(domain: Domain, agreement: Agreement, key: SigningKey) -> bytes:
    """Sign as the renter: 64 bytes."""
    return key.sign(agreement_id(domain, agreement))


def countersign_agreement(domain: Domain, agreement: Agreement, key: NodeKey) -> bytes:
    """Sign as the farmer, who has the shard and has recomputed its root: 64 bytes."""
    return key.sign(_FARMER_TAG + agreement_id(domain, agreement))


def sign_node_key(domain: Domain, node: bytes, key: SigningKey) -> bytes:
    """Let a signer vouch for a node: 64 bytes."""
    return key.sign(node_key_digest(domain, node))


def verify_renter(domain: Domain, agreement: Agreement, signature: bytes, signer: Address) -> None:
    """Check that the renter's signer signed the agreement. Raises WrongRenterSignature."""
    recovered = _recover(agreement_id(domain, agreement), signature)
    if recovered != signer:
        raise WrongRenterSignature(signer, recovered)


def verify_farmer(domain: Domain, agreement: Agreement, signature: bytes) -> None:
    """Check that the farmer named in the agreement countersigned it. Raises WrongFarmerSignature."""
    if not verify_signature(agreement.farmer, _FARMER_TAG + agreement_id(domain, agreement), signature):
        raise WrongFarmerSignature(agreement.farmer)


def verify_node_key(domain: Domain, node: bytes, signature: bytes, signer: Address) -> None:
    """Check that `signer` vouches for `node`. Raises WrongNodeKeySignature."""
    recovered = _recover(node_key_digest(domain, node), signature)
    if recovered != signer:
        raise WrongNodeKeySignature(node, signer, recovered)


def _recover(digest: bytes, signature: bytes) -> Address | None:
    try:
        return recover_signer(digest, signature)
    except SignatureError:
        return None
