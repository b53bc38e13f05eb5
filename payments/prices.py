"""Prices and the signed, expiring quote in which a farmer states them.

Prices are base units per GB (10**9 bytes), per month (30 days), per audit. An agreement fixes what they come
to as one `step`, the price of one audit: the storage of one interval plus the audit itself. All divisions
round up, in the farmer's favour, by less than one base unit each.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from payments.errors import (
    InconsistentQuote,
    QuoteExpired,
    QuoteNotYetValid,
    WrongLength,
    WrongQuoteSignature,
)
from payments.types import (
    GB,
    MIB,
    MONTH,
    Address,
    Amount,
    NodeId,
    Seconds,
    Timestamp,
    to_address,
    to_amount,
    to_bytes32,
    to_uint,
)

CLOCK_SKEW: Final = Seconds(60)
"""How far ahead of ours a farmer's clock may be."""

_QUOTE_TAG: Final = b"tithebarn quote 1\n"
_SIGNATURE_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class Prices:
    """What a farmer asks, in base units: per GB stored for a month, per GB read, per audit."""

    storage_per_gb_month: Amount
    download_per_gb: Amount
    per_audit: Amount

    def __post_init__(self) -> None:
        to_amount(self.storage_per_gb_month)
        to_amount(self.download_per_gb)
        to_amount(self.per_audit)


@dataclass(frozen=True, slots=True)
class Quote:
    """A farmer's offer, good from `issued_at` to `expires_at` (wall time); a higher `sequence` replaces it.

    audit_interval, response_deadline, grace: what agreements will say. min_deposit: what a channel must hold
    before anything is stored. min_agreement_value: what an agreement must bring over its life. The challenge
    period of a channel lies within the two bounds. tokens: those accepted. free_bytes: room left when
    issued.
    """

    farmer: NodeId
    sequence: int
    issued_at: Timestamp
    expires_at: Timestamp
    prices: Prices
    audit_interval: Seconds
    response_deadline: Seconds
    grace: Seconds
    min_deposit: Amount
    min_agreement_value: Amount
    min_challenge_period: Seconds
    max_challenge_period: Seconds
    max_agreement_seconds: Seconds
    tokens: tuple[Address, ...]
    free_bytes: int

    def __post_init__(self) -> None:
        to_bytes32("farmer", self.farmer)
        for field, bits in _INTEGERS.items():
            to_uint(field, getattr(self, field), bits)
        for token in self.tokens:
            to_address("token", token)
        to_uint("tokens", len(self.tokens), 16)
        if not self.audit_interval:
            raise InconsistentQuote("audit_interval", self.audit_interval, 1)
        if self.max_challenge_period < self.min_challenge_period:
            raise InconsistentQuote(
                "max_challenge_period", self.max_challenge_period, self.min_challenge_period
            )

    def to_bytes(self) -> bytes:
        """Write the one canonical form, which is what gets signed: a tag, then every field in fixed width."""
        prices = (
            self.prices.storage_per_gb_month,
            self.prices.download_per_gb,
            self.prices.per_audit,
        )
        return b"".join(
            [
                _QUOTE_TAG,
                self.farmer,
                *(getattr(self, field).to_bytes(bits // 8) for field, bits in _INTEGERS.items()),
                *(price.to_bytes(12) for price in prices),
                len(self.tokens).to_bytes(2),
                *self.tokens,
            ]
        )


_INTEGERS: Final = {
    "sequence": 64,
    "issued_at": 64,
    "expires_at": 64,
    "audit_interval": 32,
    "response_deadline": 32,
    "grace": 32,
    "min_deposit": 96,
    "min_agreement_value": 96,
    "min_challenge_period": 32,
    "max_challenge_period": 32,
    "max_agreement_seconds": 64,
    "free_bytes": 64,
}
"""The quote's integers, in the order and width in which they are signed."""


@dataclass(frozen=True, slots=True)
class SignedQuote:
    """A quote and its farmer's Ed25519 signature (64 bytes) over its canonical form."""

    quote: Quote
    signature: bytes

    def __post_init__(self) -> None:
        if len(self.signature) != _SIGNATURE_BYTES:
            raise WrongLength("signature", len(self.signature), _SIGNATURE_BYTES)


def sign_quote(quote: Quote, key: SigningKey) -> SignedQuote:
    """Sign with the farmer's node key; WrongQuoteSignature if the quote names another node."""
    if key.verify_key.encode() != quote.farmer:
        raise WrongQuoteSignature(quote.farmer)
    return SignedQuote(quote, key.sign(quote.to_bytes()).signature)


def verify_quote(signed: SignedQuote, now: Timestamp) -> None:
    """Check signature and time. Raises WrongQuoteSignature, QuoteExpired or QuoteNotYetValid."""
    quote = signed.quote
    try:
        VerifyKey(quote.farmer).verify(quote.to_bytes(), signed.signature)
    except BadSignatureError as error:
        raise WrongQuoteSignature(quote.farmer) from error
    if now >= quote.expires_at:
        raise QuoteExpired(quote.expires_at, now)
    if quote.issued_at > now + CLOCK_SKEW:
        raise QuoteNotYetValid(quote.issued_at, now)


def storage_price(per_month: Amount, seconds: Seconds) -> Amount:
    """What `seconds` of storage cost at a rate of `per_month` base units."""
    return to_amount(_ceil(per_month * seconds, MONTH))


def step_price(prices: Prices, shard_length: int, audit_interval: Seconds) -> Amount:
    """Price of one audit of a shard of so many bytes: one interval's storage plus the audit; at least 1."""
    storage = _ceil(prices.storage_per_gb_month * shard_length * audit_interval, GB * MONTH)
    return to_amount(max(1, storage + prices.per_audit))


def step_rate(step: Amount, audit_interval: Seconds) -> Amount:
    """What an agreement brings in a month if every audit is paid: the `storage_rate` of the ledger."""
    return to_amount(_ceil(step * MONTH, audit_interval))


def read_price(download_per_gb: Amount, length: int) -> Amount:
    """Price of reading `length` bytes at once."""
    return to_amount(_ceil(download_per_gb * length, GB))


def agreement_value(step: Amount, audit_interval: Seconds, start: Timestamp, end: Timestamp) -> Amount:
    """What an agreement brings over its life: a step for every whole interval in it, and for at least one."""
    return to_amount(step * max(1, (end - start) // audit_interval))


def deposit_for(
    quote: Quote,
    shard_lengths: Iterable[int],
    seconds: Seconds,
    *,
    read_bytes: int = 0,
    promised: Amount = Amount(0),  # noqa: B008 - a NewType is no call at run time
) -> Amount:
    """Compute the target deposit that keeps these shards with this farmer for `seconds`.

    shard_lengths: bytes of each shard stored there, one agreement each. read_bytes: what shall be readable,
    paid in steps of 1 MiB. promised: the channel's total so far; the target comes on top of it. One audit
    more than fits is counted, since audits may fall on both ends. At least the farmer's minimum. A total:
    fund *to* it.
    """
    audits = _ceil(seconds, quote.audit_interval) + 1
    steps = sum(step_price(quote.prices, length, quote.audit_interval) for length in shard_lengths)
    whole, rest = divmod(read_bytes, MIB)
    per_gb = quote.prices.download_per_gb
    reads = whole * read_price(per_gb, MIB) + read_price(per_gb, rest)
    return to_amount(max(quote.min_deposit, promised + steps * audits + reads))


def _ceil(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)
