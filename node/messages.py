"""The messages between renter and farmer as JSON: one frozen model each, convertible from and to core values.

Bytes travel as 0x-hex, amounts as decimal strings, other integers as JSON numbers. Every field is bounded and
unknown fields are refused. `parse` is the one way in: whatever the bytes are, it returns a message or raises
MalformedMessage; `dump` is the way out. What mirrors a value of the core has `of(value)` and `core()`.
"""

from enum import Enum
from typing import Annotated, Any, ClassVar, Final, Generic, Literal, Self, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError, model_validator

from node.agreement import Agreement
from node.audit import MAX_INDICES, Challenge, Item, ItemProof, Proof
from node.errors import MalformedMessage
from node.fields import (
    AmountText,
    Bytes16,
    Bytes20,
    Bytes32,
    Detail,
    Leaf,
    Sealed,
    Sentence,
    Signature,
    Uint32,
    Uint63,
    Uint64,
    Uint256,
)
from node.node_record import MAX_URL_LENGTH, MAX_URLS, NodeRecord, SignedRecord
from payments.errors import PaymentError
from payments.prices import Prices, Quote, SignedQuote
from payments.types import MIB
from payments.vouchers import SignedVoucher, Terms, Voucher

CONTROL_LIMIT: Final = 64 * 1024
"""Bytes in a message's body."""
AUDIT_LIMIT: Final = 1024 * 1024
"""Bytes in the body of a message with challenges or proofs."""
SHELF_LIMIT: Final = 9 * 1024 * 1024
"""Bytes in the body of a message with an entry of a renter's shelf."""
PROPOSAL_HEADER: Final = "Tithe-Proposal"
"""Where a shard's upload carries the ProposeAgreement it is about."""
MAX_ENTRIES: Final = 10_000
MAX_ITEMS: Final = 128
MAX_PATH: Final = 64
MAX_TOKENS: Final = 64

Url = Annotated[str, Field(min_length=1, max_length=MAX_URL_LENGTH)]
Core = TypeVar("Core")


class Bounded(BaseModel):
    """Anything that can be parsed; `limit` and `commas` are the most bytes and commas its JSON may have.

    Memory follows the number of values, which commas part: a byte of hostile JSON could take thirty.
    """

    limit: ClassVar[int] = CONTROL_LIMIT
    commas: ClassVar[int] = 2**16


class Message(Bounded):
    """What all messages share: frozen, strict, nothing unknown."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", from_attributes=True)


class Mirror(Message, Generic[Core]):
    """A message with the same fields as a frozen dataclass of the core, `of` which it is made."""

    mirrored: ClassVar[type[Any]]

    @classmethod
    def of(cls, value: Core) -> Self:
        """Put a value of the core into words."""
        return cls.model_validate(value)

    def core(self) -> Core:
        """Return the value of the core. Never fails: parsing has checked that it exists."""
        return cast(
            "Core", self.mirrored(**{name: _core(getattr(self, name)) for name in type(self).model_fields})
        )


def _core(value: object) -> object:
    match value:
        case Mirror():
            return value.core()
        case tuple():
            return tuple(_core(item) for item in value)
        case _:
            return value


# Values of the core


class TermsMessage(Mirror[Terms]):
    """A channel's terms."""

    mirrored = Terms
    payer: Bytes20
    signer: Bytes20
    payee: Bytes20
    token: Bytes20
    challenge_period: Uint32
    salt: Bytes32


class VoucherMessage(Mirror[Voucher]):
    """A voucher, unsigned."""

    mirrored = Voucher
    channel_id: Bytes32
    cumulative_amount: AmountText
    condition: Bytes32


class SignedVoucherMessage(Mirror[SignedVoucher]):
    """A voucher and its signature."""

    mirrored = SignedVoucher
    voucher: VoucherMessage
    signature: Signature


class PricesMessage(Mirror[Prices]):
    """A farmer's prices."""

    mirrored = Prices
    storage_per_gb_month: AmountText
    download_per_gb: AmountText
    per_audit: AmountText


class QuoteMessage(Mirror[Quote]):
    """A farmer's offer."""

    mirrored = Quote
    farmer: Bytes32
    sequence: Uint64
    issued_at: Uint64
    expires_at: Uint64
    prices: PricesMessage
    audit_interval: Uint32
    response_deadline: Uint32
    grace: Uint32
    min_deposit: AmountText
    min_agreement_value: AmountText
    min_challenge_period: Uint32
    max_challenge_period: Uint32
    max_agreement_seconds: Uint64
    tokens: Annotated[tuple[Bytes20, ...], Field(max_length=MAX_TOKENS)]
    free_bytes: Uint64

    @model_validator(mode="after")
    def _exists(self) -> Self:
        try:
            self.core()
        except PaymentError as error:
            raise ValueError(str(error)) from error
        return self


class SignedQuoteMessage(Mirror[SignedQuote]):
    """An offer and its farmer's signature."""

    mirrored = SignedQuote
    quote: QuoteMessage
    signature: Signature


class RecordMessage(Mirror[NodeRecord]):
    """A node record."""

    mirrored = NodeRecord
    node: Bytes32
    payee: Bytes20
    urls: Annotated[tuple[Url, ...], Field(max_length=MAX_URLS)]
    sequence: Uint64
    expires_at: Uint64
    quote_path: Url


class SignedRecordMessage(Mirror[SignedRecord]):
    """A node record and its node's signature."""

    mirrored = SignedRecord
    record: RecordMessage
    signature: Signature


class AgreementMessage(Mirror[Agreement]):
    """A storage agreement's terms."""

    mirrored = Agreement
    renter: Bytes32
    farmer: Bytes32
    shard_length: Uint64
    leaf_count: Uint64
    data_root: Bytes32
    step: AmountText
    audit_interval: Uint32
    response_deadline: Uint32
    grace: Uint32
    download_price: AmountText
    start: Uint64
    end: Uint64


class ItemMessage(Mirror[Item]):
    """What a challenge asks of one agreement."""

    mirrored = Item
    agreement: Bytes32
    data_root: Bytes32
    leaf_count: Uint64
    indices: Annotated[tuple[Uint64, ...], Field(max_length=MAX_INDICES)]


class ChallengeMessage(Mirror[Challenge]):
    """An audit's challenge."""

    mirrored = Challenge
    audit_id: Bytes32
    items: Annotated[tuple[ItemMessage, ...], Field(max_length=MAX_ITEMS)]


Path = Annotated[tuple[Bytes32, ...], Field(max_length=MAX_PATH)]


class ItemProofMessage(Mirror[ItemProof]):
    """Leaves and paths for one item."""

    mirrored = ItemProof
    leaves: Annotated[tuple[Leaf, ...], Field(max_length=MAX_INDICES)]
    paths: Annotated[tuple[Path, ...], Field(max_length=MAX_INDICES)]


class ProofMessage(Mirror[Proof]):
    """The proof of a whole challenge."""

    mirrored = Proof
    items: Annotated[tuple[ItemProofMessage, ...], Field(max_length=MAX_ITEMS)]


# Messages


class ChainMessage(Message):
    """Which chain and which PaymentChannels a farmer is paid on."""

    chain_id: Uint256
    genesis_hash: Bytes32
    contract: Bytes20


class NodeInfo(Message):
    """GET /v1/node: who the farmer is, what it asks, where it is paid; `run`: see node.authentication."""

    record: SignedRecordMessage
    quote: SignedQuoteMessage
    chain: ChainMessage
    run: Bytes16


class OpenChannel(Message):
    """POST /v1/channels: a funded channel's terms, the signer's signature for the renter's node key."""

    terms: TermsMessage
    node_key_signature: Signature


class ProvenMessage(Message):
    """A conditional voucher and what makes it good."""

    voucher: SignedVoucherMessage
    challenge: ChallengeMessage
    proof: ProofMessage


class ChannelView(Message):
    """A channel as the farmer sees it, with the newest vouchers it holds: a restored renter reads it.

    restored: the farmer's own books are an old copy; it asks for the newest voucher that its renter has.
    """

    limit = AUDIT_LIMIT
    channel_id: Bytes32
    deposit: AmountText
    claimed: AmountText
    closes_at: Uint64 | None
    paid: SignedVoucherMessage | None
    proven: ProvenMessage | None
    exposure: AmountText
    serving: bool
    restored: bool


class ProposeAgreement(Message):
    """POST /v1/agreements, or with the shard: terms and the renter's signature."""

    agreement: AgreementMessage
    renter_signature: Signature


class CountersignedAgreement(Message):
    """POST /v1/agreements/{id}: an agreement that the farmer has signed, and whose books do not know it."""

    agreement: AgreementMessage
    renter_signature: Signature
    farmer_signature: Signature


class AgreementState(Enum):
    """How far an agreement has come on the farmer's side."""

    PROPOSED = "PROPOSED"
    STORED = "STORED"
    EXPIRED = "EXPIRED"
    DELETED = "DELETED"
    LOST = "LOST"


class AgreementView(Message):
    """An agreement as the farmer sees it; `farmer_signature` once the shard is stored."""

    agreement_id: Bytes32
    state: AgreementState
    farmer_signature: Signature | None


class ReadShard(Message):
    """POST /v1/agreements/{id}/read: leaves, at most 1 MiB of them, and the voucher that pays for it.

    offset, length: in bytes; the range ends where leaves end. The answer are these bytes, then the hashes
    that prove them (see node.leaf_ranges).
    """

    offset: Uint64
    length: Annotated[int, Field(strict=True, ge=1, le=MIB)]
    payment: SignedVoucherMessage


class AuditRequest(Message):
    """POST /v1/audits: all earned so far, a challenge, and a voucher with the challenge as its condition."""

    limit = AUDIT_LIMIT
    paid: SignedVoucherMessage | None
    challenge: ChallengeMessage
    voucher: SignedVoucherMessage


class Proven(Message):
    """The challenge is answered."""

    status: Literal["PROVEN"] = "PROVEN"
    proof: ProofMessage


class Declined(Message):
    """These agreements cannot be proven; nothing is revealed of the others."""

    status: Literal["DECLINED"] = "DECLINED"
    agreements: Annotated[tuple[Bytes32, ...], Field(min_length=1, max_length=MAX_ITEMS)]


class Behind(ProvenMessage):
    """The farmer has proven more than `paid` covers: here is its evidence."""

    status: Literal["BEHIND"] = "BEHIND"


class AuditAnswer(RootModel[Annotated[Proven | Declined | Behind, Field(discriminator="status")]], Bounded):
    """The answer to an AuditRequest; `root` is the one of three it is."""

    model_config = ConfigDict(frozen=True, strict=True)
    limit = AUDIT_LIMIT


class PayVoucher(Message):
    """POST /v1/vouchers: an unconditional payment or prepayment."""

    voucher: SignedVoucherMessage


class ShelfEntry(Message):
    """POST /v1/shelf: something encrypted that a farmer keeps for its renter, and gives back on request."""

    limit = SHELF_LIMIT
    commas = 2
    entry: Bytes16
    version: Uint63
    sealed: Sealed


class ShelfPlace(Message):
    """An entry that a farmer keeps: its name and version."""

    entry: Bytes16
    version: Uint63


class ShelfList(Message):
    """GET /v1/shelf: everything that a farmer keeps of this renter."""

    limit = AUDIT_LIMIT
    entries: Annotated[tuple[ShelfPlace, ...], Field(max_length=MAX_ENTRIES)]


class ErrorBody(Message):
    """Any refusal: a code in UPPER_SNAKE, a sentence, the offending values."""

    error: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")]
    message: Sentence
    detail: Detail


# In and out

AnyMessage = TypeVar("AnyMessage", bound=Bounded)


def parse(kind: type[AnyMessage], body: bytes) -> AnyMessage:
    """Read a message of this kind. Raises MalformedMessage, and nothing else, whatever the bytes are."""
    if len(body) > kind.limit:
        raise MalformedMessage(kind.__name__, f"{len(body)} bytes, at most {kind.limit} are read")
    if body.count(b",") > kind.commas:
        raise MalformedMessage(kind.__name__, "it has too many values")
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise MalformedMessage(kind.__name__, _reason(error)) from None


def dump(message: Bounded) -> bytes:
    """Write a message as the JSON that travels."""
    return message.model_dump_json().encode()


def _reason(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    reason = f"{place}: {first['msg']}" if place else first["msg"]
    return "".join(character if character.isprintable() else "?" for character in reason[:200])
