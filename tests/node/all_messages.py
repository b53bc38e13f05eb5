"""One of each message, made of real values, and how to draw the values that messages mirror."""

from typing import Any

from hypothesis import strategies as st

from node.agreement import Agreement, sign_agreement
from node.audit import Challenge, Item, ItemProof, Proof, challenge_digest
from node.messages import (
    AgreementMessage,
    AgreementState,
    AgreementView,
    AuditAnswer,
    AuditRequest,
    Behind,
    Bounded,
    ChainMessage,
    ChallengeMessage,
    ChannelView,
    Declined,
    ErrorBody,
    Mirror,
    NodeInfo,
    OpenChannel,
    PayVoucher,
    PricesMessage,
    ProofMessage,
    ProposeAgreement,
    Proven,
    ProvenMessage,
    QuoteMessage,
    ReadShard,
    RecordMessage,
    ShelfEntry,
    ShelfList,
    ShelfPlace,
    SignedQuoteMessage,
    SignedRecordMessage,
    SignedVoucherMessage,
    TermsMessage,
    VoucherMessage,
)
from node.node_record import NodeRecord, SignedRecord, sign_record
from payments.prices import Prices, Quote, SignedQuote, sign_quote
from payments.types import MAX_AMOUNT, Address, Amount, ChannelId, NodeId, Seconds, Timestamp
from payments.vouchers import SignedVoucher, SigningKey, Terms, Voucher, sign_voucher
from tests.node.decoders import kinds
from tests.node.support import (
    DAY,
    DOMAIN,
    FARMER,
    NOW,
    QUOTE,
    make_agreement,
    make_audit,
    make_shard,
    seeded,
)

words = st.binary(min_size=32, max_size=32)
addresses = st.binary(min_size=20, max_size=20).map(Address)
signatures = st.binary(min_size=64, max_size=64)
u32, u64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
seconds, times = u32.map(Seconds), u64.map(Timestamp)
amounts = st.integers(0, MAX_AMOUNT).map(Amount)
vouchers = st.builds(Voucher, words.map(ChannelId), amounts, words)
prices = st.builds(Prices, amounts, amounts, amounts)
quotes = st.builds(
    Quote,
    farmer=words.map(NodeId),
    sequence=u64,
    issued_at=times,
    expires_at=times,
    prices=prices,
    audit_interval=st.integers(1, 2**32 - 1).map(Seconds),
    response_deadline=seconds,
    grace=seconds,
    min_deposit=amounts,
    min_agreement_value=amounts,
    min_challenge_period=st.integers(0, 100).map(Seconds),
    max_challenge_period=st.integers(100, 2**32 - 1).map(Seconds),
    max_agreement_seconds=u64.map(Seconds),
    tokens=st.lists(addresses, max_size=3).map(tuple),
    free_bytes=u64,
)
challenges = st.builds(
    Challenge,
    words,
    st.lists(st.builds(Item, words, words, u64, st.lists(u64, max_size=4).map(tuple)), max_size=3).map(tuple),
)
proofs = st.builds(
    Proof,
    st.lists(
        st.builds(
            ItemProof,
            st.lists(st.binary(min_size=1, max_size=1024), max_size=4).map(tuple),
            st.lists(st.lists(words, max_size=3).map(tuple), max_size=4).map(tuple),
        ),
        max_size=2,
    ).map(tuple),
)
records = st.builds(
    NodeRecord,
    node=words.map(NodeId),
    payee=addresses,
    urls=st.lists(st.text(min_size=1, max_size=50), max_size=4).map(tuple),
    sequence=u64,
    expires_at=times,
    quote_path=st.text(min_size=1, max_size=50),
)
terms = st.builds(Terms, addresses, addresses, addresses, addresses, seconds, words)
agreements = st.builds(
    Agreement,
    words.map(NodeId),
    words.map(NodeId),
    u64,
    u64,
    words,
    amounts,
    seconds,
    seconds,
    seconds,
    amounts,
    times,
    times,
)
MIRRORS: list[tuple[type[Mirror[Any]], st.SearchStrategy[Any]]] = [
    (TermsMessage, terms),
    (VoucherMessage, vouchers),
    (SignedVoucherMessage, st.builds(SignedVoucher, vouchers, signatures)),
    (PricesMessage, prices),
    (QuoteMessage, quotes),
    (SignedQuoteMessage, st.builds(SignedQuote, quotes, signatures)),
    (RecordMessage, records),
    (SignedRecordMessage, st.builds(SignedRecord, records, signatures)),
    (AgreementMessage, agreements),
    (ChallengeMessage, challenges),
    (ProofMessage, proofs),
]

# One of each, made of real values


SIGNER = SigningKey(b"\x11" * 32)
CHALLENGE, PROOF = make_audit(make_shard(5000, 1), make_shard(100, 2))
PAID = SignedVoucherMessage.of(
    sign_voucher(DOMAIN, Voucher(ChannelId(seeded("channel")), Amount(2**95)), SIGNER)
)
CONDITIONAL = SignedVoucherMessage.of(
    sign_voucher(
        DOMAIN,
        Voucher(ChannelId(seeded("channel")), Amount(2**95 + 7), challenge_digest(DOMAIN, CHALLENGE)),
        SIGNER,
    )
)
EVIDENCE: dict[str, Any] = {
    "voucher": CONDITIONAL,
    "challenge": ChallengeMessage.of(CHALLENGE),
    "proof": ProofMessage.of(PROOF),
}
RECORD = NodeRecord(FARMER.node, Address(b"\x44" * 20), ("http://127.0.0.1:4321",), 1, Timestamp(NOW + DAY))
ADDRESS = Address(b"\x70" * 20)
MESSAGES: list[Bounded] = [
    NodeInfo(
        record=SignedRecordMessage.of(sign_record(RECORD, FARMER)),
        quote=SignedQuoteMessage.of(sign_quote(QUOTE, FARMER.signing_key)),
        chain=ChainMessage(chain_id=2**64 + 7, genesis_hash=seeded("genesis"), contract=DOMAIN.contract),
        run=b"\x0a" * 16,
    ),
    OpenChannel(
        terms=TermsMessage.of(Terms(ADDRESS, ADDRESS, ADDRESS, ADDRESS, Seconds(60), bytes(32))),
        node_key_signature=bytes(64),
    ),
    ChannelView(
        channel_id=seeded("channel"),
        deposit=MAX_AMOUNT,
        claimed=0,
        closes_at=None,
        paid=PAID,
        proven=ProvenMessage(**EVIDENCE),
        exposure=1,
        serving=True,
        restored=False,
    ),
    ProposeAgreement(
        agreement=AgreementMessage.of(make_agreement()),
        renter_signature=sign_agreement(DOMAIN, make_agreement(), SIGNER),
    ),
    AgreementView(agreement_id=seeded("id"), state=AgreementState.STORED, farmer_signature=bytes(64)),
    AgreementView(agreement_id=seeded("id"), state=AgreementState.PROPOSED, farmer_signature=None),
    ReadShard(offset=0, length=2**20, payment=PAID),
    AuditRequest(paid=PAID, challenge=ChallengeMessage.of(CHALLENGE), voucher=CONDITIONAL),
    AuditRequest(paid=None, challenge=ChallengeMessage.of(CHALLENGE), voucher=CONDITIONAL),
    AuditAnswer(Proven(proof=ProofMessage.of(PROOF))),
    AuditAnswer(Declined(agreements=(seeded("agreement"),))),
    AuditAnswer(Behind(**EVIDENCE)),
    PayVoucher(voucher=PAID),
    ShelfEntry(entry=b"e" * 16, version=7, sealed=b"sealed"),
    ShelfList(entries=(ShelfPlace(entry=bytes(16), version=1), ShelfPlace(entry=b"e" * 16, version=7))),
    ErrorBody(error="PAID_TOO_LOW", message="0 paid", detail={"paid": "0", "more": [1, None, {"a": True}]}),
]
KINDS = sorted(
    {type(message) for message in MESSAGES} | {kind for kind, _ in MIRRORS} | set(kinds()),
    key=lambda k: k.__name__,
)
