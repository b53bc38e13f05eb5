"""A farmer's books come back from disk as they were, and its sums always match its agreements."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.agreement import Agreement
from node.audit import Challenge, Item, ItemProof, Proof
from node.db import blobs
from node.db import farmer as books
from node.db import farmer_agreements as agreements
from node.db.farmer_agreements import FarmerAgreement, RenterSums
from node.messages import AgreementState
from payments.ledger import Earnings
from payments.types import MAX_AMOUNT, Amount, ChannelId, NodeId, Seconds, Timestamp
from payments.vouchers import SignedVoucher, Voucher
from settlement.database import Database
from tests.databases import Place

T = TypeVar("T")
CHANNEL = ChannelId(b"c" * 32)
RENTER = NodeId(b"r" * 32)
ANOTHER = NodeId(b"a" * 32)


@pytest.fixture
def database(place: Place) -> Iterator[Database]:
    database = place.open(books.TABLES)
    yield database
    database.close()


def put(database: Database, step: Callable[..., T], *arguments: object) -> T:
    return database.write_sync(lambda conn: step(conn, *arguments))


def get(database: Database, step: Callable[..., T], *arguments: object) -> T:
    return database.read(lambda conn: step(conn, *arguments))


def terms(number: int = 0, renter: NodeId = RENTER, length: int = 5_000) -> Agreement:
    return Agreement(
        renter=renter,
        farmer=NodeId(b"f" * 32),
        shard_length=length,
        leaf_count=5,
        data_root=number.to_bytes(32),
        step=Amount(2**80 + number),
        audit_interval=Seconds(86_400),
        response_deadline=Seconds(3_600),
        grace=Seconds(604_800),
        download_price=Amount(2**70),
        start=Timestamp(1_000),
        end=Timestamp(9_000),
    )


def record(
    number: int = 0, state: AgreementState = AgreementState.PROPOSED, renter: NodeId = RENTER
) -> FarmerAgreement:
    signed = b"s" * 64 if state is AgreementState.STORED else None
    return FarmerAgreement(
        bytes([number]) * 32,
        terms(number, renter),
        b"x" * 64,
        state,
        Timestamp(1_000),
        Timestamp(1_600),
        signed,
    )


def voucher(total: int, condition: bytes = bytes(32)) -> SignedVoucher:
    return SignedVoucher(Voucher(CHANNEL, Amount(total), condition), b"v" * 64)


def test_a_book_comes_back_as_it_was(database: Database) -> None:
    empty = books.Book(CHANNEL, RENTER, Timestamp(7), Earnings())
    full = replace(
        empty,
        earnings=Earnings(
            voucher(2**90),
            voucher(MAX_AMOUNT, b"k" * 32),
            Amount(2**89),
            Timestamp(3),
            Timestamp(4),
            Amount(5),
            Amount(6),
            arrears=Amount(2**88),
            arrears_rate=Amount(8),
        ),
        unclaimed_since=Timestamp(11),
    )
    put(database, books.add_book, empty)
    for book in (empty, full):
        put(database, books.save_book, book)
        assert get(database, books.load_book, CHANNEL) == book
        assert get(database, books.list_books, RENTER) == [book]
    assert get(database, books.list_books, ANOTHER) == []
    assert get(database, books.load_book, ChannelId(b"?" * 32)) is None


def test_challenge_and_proof_come_back_as_they_were(database: Database) -> None:
    items = tuple(Item(bytes([n]) * 32, b"d" * 32, 2**63, (0, 2**62)) for n in range(3))
    proof = Proof(tuple(ItemProof((b"leaf", b"x" * 1024), ((b"h" * 32,), ())) for _ in items))
    held = books.Held(Challenge(b"i" * 32, items), proof)
    for latest in (held, replace(held, challenge=Challenge(b"j" * 32, items))):
        put(database, books.save_held, CHANNEL, latest)
        assert get(database, books.load_held, CHANNEL) == latest


hashes = st.binary(min_size=32, max_size=32)
numbers = st.integers(0, 2**64 - 1)
items = st.builds(Item, hashes, hashes, numbers, st.lists(numbers, max_size=4).map(tuple))
leaves = st.lists(
    st.tuples(st.binary(max_size=1024), st.lists(hashes, max_size=20).map(tuple)), max_size=4
).map(lambda shown: ItemProof(tuple(leaf for leaf, _ in shown), tuple(path for _, path in shown)))


def test_retired_books_are_kept_and_count_no_more(database: Database) -> None:
    old, new = (
        books.Book(ChannelId(bytes([n]) * 32), RENTER, Timestamp(n), Earnings(arrears=Amount(n)))
        for n in (1, 2)
    )
    for book in (old, new):
        put(database, books.add_book, book)
    put(database, books.retire_books, [], Timestamp(9))
    assert get(database, books.list_books, RENTER) == [old, new]
    put(database, books.retire_books, [old.channel_id], Timestamp(9))
    put(database, books.save_book, old)
    assert get(database, books.list_books, RENTER) == [new]
    assert get(database, books.load_book, old.channel_id) == old
    assert database.read(books.list_books) == [old, new]


@given(st.builds(Challenge, hashes, st.lists(items, max_size=5).map(tuple)))
def test_any_challenge_survives_packing(challenge: Challenge) -> None:
    packed = blobs.pack_challenge(challenge)
    assert blobs.unpack_challenge(packed) == challenge
    with pytest.raises(ValueError, match="ends early"):
        blobs.unpack_challenge(packed[:-1])
    with pytest.raises(ValueError, match="left behind"):
        blobs.unpack_challenge(packed + b"\0")


@given(st.builds(Proof, st.lists(leaves, max_size=5).map(tuple)))
def test_any_proof_survives_packing(proof: Proof) -> None:
    packed = blobs.pack_proof(proof)
    assert blobs.unpack_proof(packed) == proof
    with pytest.raises(ValueError, match="ends early"):
        blobs.unpack_proof(packed[:-1])


def test_only_the_newest_purchases_are_remembered(database: Database) -> None:
    count = books.KEPT_PURCHASES + 10
    for total in range(1, count + 1):
        bought = books.Purchase(Amount(total), b"g" * 32, total * 1024, 1024)
        put(database, books.save_purchase, CHANNEL, bought)

    def load(total: int) -> books.Purchase | None:
        return get(database, books.load_purchase, CHANNEL, Amount(total))

    assert load(10) is None
    assert load(11) == books.Purchase(Amount(11), b"g" * 32, 11 * 1024, 1024)
    assert load(count) is not None


def test_sequences_rise_over_restarts(database: Database, place: Place) -> None:
    assert [put(database, books.next_number, "quote") for _ in range(3)] == [1, 2, 3]
    assert put(database, books.next_number, "record") == 1
    database.close()
    again = place.open(books.TABLES)
    assert put(again, books.next_number, "quote") == 4
    again.close()


def test_an_agreement_comes_back_as_it_was(database: Database) -> None:
    for saved in (record(), record(state=AgreementState.STORED)):
        put(database, agreements.save_agreement, saved)
        assert get(database, agreements.load_agreement, saved.id) == saved
    ids = [bytes([n]) * 32 for n in range(255)] * 3
    assert get(database, agreements.load_agreements, ids) == {saved.id: saved}


def test_sums_follow_the_states_of_agreements(database: Database) -> None:
    rate = record().storage_rate

    def save(saved: FarmerAgreement) -> RenterSums:
        return put(database, agreements.save_agreement, saved)

    assert save(record()) == RenterSums(RENTER, reserved_bytes=5_000)
    assert save(record()) == RenterSums(RENTER, reserved_bytes=5_000)
    stored = record(state=AgreementState.STORED)
    interval = stored.agreement.audit_interval
    assert save(stored) == RenterSums(RENTER, 1, 5_000, 0, rate, longest_interval=interval)
    assert save(stored) == RenterSums(RENTER, 1, 5_000, 0, rate, longest_interval=interval)
    save(record(1, AgreementState.STORED))
    save(record(2, renter=ANOTHER))
    assert database.read(agreements.used_bytes) == (10_000, 5_000)
    assert set(database.read(lambda conn: list(agreements.stored_shards(conn)))) == {b"\0" * 32, b"\1" * 32}
    assert save(record(0, AgreementState.DELETED)).stored == 1
    save(record(1, AgreementState.EXPIRED))
    save(record(2, AgreementState.EXPIRED, ANOTHER))
    assert database.read(agreements.used_bytes) == (0, 0)
    assert database.read(agreements.list_sums) == [
        RenterSums(RENTER, longest_interval=interval),
        RenterSums(ANOTHER),
    ]


def test_overdue_are_ended_agreements_and_abandoned_proposals(database: Database) -> None:
    for saved in (record(0), record(1, AgreementState.STORED), record(2, AgreementState.DELETED)):
        put(database, agreements.save_agreement, saved)

    def overdue(now: int) -> list[int]:
        found = get(database, agreements.list_overdue, Timestamp(now))
        return [one.id[0] for one in found]

    assert overdue(1_599) == []
    assert overdue(1_600) == [0]
    assert overdue(9_000) == [1, 0]
