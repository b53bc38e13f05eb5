"""What a renter remembers survives a restart exactly, and its rules hold in the database itself."""

from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy.exc import IntegrityError

from node.agreement import Agreement
from node.audit import Answer, Challenge, Item, Outcome, Try, Window
from node.db import renter_audits as audits
from node.db import renter_files as files
from node.db import renter_peers as peers
from node.db import renter_purses as purses
from node.db import renter_segments as segments
from node.db import renter_shards as shards
from node.db.renter_audits import AuditRecord, Decision
from node.db.renter_files import FileRecord, FileState
from node.db.renter_peers import PeerRecord
from node.db.renter_purses import Purse
from node.db.renter_shards import ShardRecord, ShardState
from payments.types import MAX_AMOUNT, Amount, ChannelId, NodeId, Seconds, Timestamp
from payments.vouchers import SignedVoucher, Voucher
from settlement.database import Database
from tests.databases import Place

NODE = NodeId(b"n" * 32)
CHANNEL = ChannelId(b"c" * 32)
TABLES = (*peers.TABLES, *purses.TABLES, *audits.TABLES, *files.TABLES, *shards.TABLES, *segments.TABLES)


def reopened(place: Place, database: Database) -> Database:
    database.close()
    return place.open(TABLES)


@pytest.fixture
def database(place: Place) -> Database:
    return place.open(TABLES)


def peer(number: int) -> PeerRecord:
    node = NodeId(bytes([number]) * 32)
    return PeerRecord(node, f"http://host{number}", "{}", Timestamp(number), Timestamp(number))


def audit(name: bytes = b"a", total: int = 7) -> AuditRecord:
    items = (Item(b"x" * 32, b"r" * 32, 9, (0, 3, 8)), Item(b"y" * 32, b"s" * 32, 2**40, (5,)))
    voucher = SignedVoucher(Voucher(CHANNEL, Amount(total), b"h" * 32), b"s" * 64)
    window = Window(opened_at=1_000, response_deadline=60, end=9_000)
    return AuditRecord(CHANNEL, Challenge(name * 32, items), voucher, Amount(5), window)


def shard(name: bytes = b"x", farmer: NodeId = NODE, end: int = 9_000) -> ShardRecord:
    terms = Agreement(
        renter=NodeId(b"r" * 32),
        farmer=farmer,
        shard_length=5_000,
        leaf_count=5,
        data_root=b"d" * 32,
        step=MAX_AMOUNT,
        audit_interval=Seconds(100),
        response_deadline=Seconds(10),
        grace=Seconds(50),
        download_price=Amount(2**70),
        start=Timestamp(1_000),
        end=Timestamp(end),
    )
    return ShardRecord(name * 32, b"f" * 16, 0, 3, ShardState.PROPOSED, terms, b"s" * 64, Timestamp(1_000))


FILE = FileRecord(b"f" * 16, "näme", FileState.PUTTING, 4, 12, Timestamp(5))


def test_a_shard_that_was_refused_is_proposed_again_under_the_same_terms(database: Database) -> None:
    one = shard()
    database.write_sync(lambda conn: files.insert_file(conn, FILE))
    for _ in range(2):
        database.write_sync(partial(shards.propose_shard, shard=one))
        assert database.read(partial(shards.load_shard, agreement_id=one.agreement_id)) == one
        refused = partial(shards.set_shard_state, agreement_ids=[one.agreement_id], state=ShardState.DELETING)
        database.write_sync(refused)


def test_suspects_are_the_files_with_a_shard_that_may_not_count(database: Database) -> None:
    stored = replace(shard(), state=ShardState.STORED, outcome=Outcome.PASSED, checked_at=Timestamp(1_500))
    stranger = replace(stored, agreement=replace(stored.agreement, farmer=NodeId(b"o" * 32)))
    suspicious = {
        b"1": replace(stored, outcome=Outcome.FAILED),
        b"2": replace(stored, outcome=Outcome.UNCHECKED),
        b"3": replace(stored, agreement=replace(stored.agreement, end=Timestamp(2_000))),
        b"4": replace(stored, state=ShardState.PROPOSED),
        b"5": replace(stored, state=ShardState.REBUILT),
        b"6": stranger,
        b"7": stored,  # away
    }
    sound = {
        b"a": stored,
        b"b": replace(stored, outcome=None),
        b"c": replace(stored, outcome=Outcome.UNCHECKED, paid_until=Timestamp(1_600)),
        b"d": replace(stranger, state=ShardState.GONE),
        b"e": replace(stored, state=ShardState.GONE, outcome=Outcome.FAILED),
        b"f": replace(stored, state=ShardState.DELETING),  # away
    }
    all_of_them = suspicious | sound
    for name, one in all_of_them.items():
        file = replace(FILE, file_id=name * 16, name=name.decode())
        kept = replace(one, agreement_id=name * 32, file_id=name * 16)
        database.write_sync(partial(files.insert_file, file=file))
        database.write_sync(partial(shards.insert_shards, shards=[kept]))
    found = database.read(
        partial(
            shards.list_suspects,
            now=Timestamp(1_700),
            ending_by=Timestamp(2_000),
            away=[
                b"7" * 32,
                b"f" * 32,
                *(bytes([0, number // 256, number % 256] * 11)[:32] for number in range(999)),
            ],
            peers=[NODE],
        )
    )
    assert found == {name * 16 for name in suspicious}


def test_peers_keep_their_age_and_lapses_when_refreshed(place: Place, database: Database) -> None:
    for number in (3, 1, 2):
        database.write_sync(partial(peers.save_peer, peer=peer(number)))
    database.write_sync(lambda conn: peers.count_lapse(conn, peer(1).node, passed=False))
    database.write_sync(lambda conn: peers.count_lapse(conn, peer(1).node, passed=False))
    fresh = replace(
        peer(1), url="http://moved", info='{"new":1}', added_at=Timestamp(99), seen_at=Timestamp(99)
    )
    database.write_sync(lambda conn: peers.save_peer(conn, fresh))
    database = reopened(place, database)
    known = database.read(peers.load_peers)
    assert [one.node[0] for one in known] == [1, 2, 3]
    assert known[0] == replace(fresh, added_at=Timestamp(1), lapses=2)
    database.write_sync(lambda conn: peers.count_lapse(conn, peer(1).node, passed=True))
    assert database.write_sync(lambda conn: peers.delete_peer(conn, peer(2).node))
    assert not database.write_sync(lambda conn: peers.delete_peer(conn, peer(2).node))
    assert [one.lapses for one in database.read(peers.load_peers)] == [0, 0]
    assert database.read(lambda conn: peers.load_peer(conn, peer(2).node)) is None
    database.close()


def test_purses_come_back_as_they_were(place: Place, database: Database) -> None:
    paid = SignedVoucher(Voucher(CHANNEL, MAX_AMOUNT), b"v" * 64)
    purse = Purse(CHANNEL, NODE, life=2)
    full = replace(
        purse,
        paid=paid,
        delivered=MAX_AMOUNT,
        presented=True,
        prepaid_seconds=Seconds(2**40),
        prepaid_at=Timestamp(2**35),
    )
    database.write_sync(lambda conn: purses.save_purse(conn, purse))
    assert database.read(lambda conn: purses.load_purse(conn, CHANNEL)) == purse
    database.write_sync(lambda conn: purses.save_purse(conn, full))
    database = reopened(place, database)
    assert database.read(lambda conn: purses.load_purses(conn, NODE)) == (full,)
    assert database.read(lambda conn: purses.load_purses(conn, NodeId(bytes(32)))) == ()
    assert full.paid_total == MAX_AMOUNT
    assert purse.paid_total == 0
    database.close()


def test_audits_come_back_as_they_were(place: Place, database: Database) -> None:
    first = audit()
    database.write_sync(lambda conn: audits.insert_audit(conn, first))
    voucher = SignedVoucher(Voucher(CHANNEL, Amount(99), b"h" * 32), b"t" * 64)
    tries = (Try(1_000, Answer.UNREACHABLE), Try(1_020, Answer.SILENT))
    changed = replace(first, voucher=voucher, tries=tries)
    database.write_sync(lambda conn: audits.update_audit(conn, changed))
    database = reopened(place, database)
    assert database.read(lambda conn: audits.load_audit(conn, first.audit_id)) == changed
    assert database.read(lambda conn: audits.load_open_audits(conn, CHANNEL)) == (changed,)
    database.write_sync(lambda conn: audits.update_audit(conn, replace(changed, open=False)))
    assert database.read(audits.load_open_audits) == ()
    database.close()


def test_an_audit_id_is_never_used_twice(database: Database) -> None:
    database.write_sync(lambda conn: audits.insert_audit(conn, audit()))
    with pytest.raises(IntegrityError):
        database.write_sync(lambda conn: audits.insert_audit(conn, audit(total=8)))
    database.close()


def test_a_late_proof_replaces_another_outcome_and_nothing_replaces_it(database: Database) -> None:
    database.write_sync(lambda conn: audits.insert_audit(conn, audit()))
    name = audit().audit_id

    def decide(outcome: Outcome, at: int) -> None:
        decision = Decision(b"x" * 32, outcome, outcome.name, Timestamp(at))
        database.write_sync(lambda conn: audits.decide_items(conn, name, [decision]))

    def known() -> list[tuple[Outcome, str, int]]:
        decisions = database.read(lambda conn: audits.load_decisions(conn, name))
        return [(one.outcome, one.reason, one.at) for one in decisions]

    decide(Outcome.OFFLINE, 1)
    assert known() == [(Outcome.OFFLINE, "OFFLINE", 1)]
    decide(Outcome.PASSED, 2)
    decide(Outcome.FAILED, 3)
    assert known() == [(Outcome.PASSED, "PASSED", 2)]
    assert database.read(audits.count_outcomes) == {b"x" * 32: {Outcome.PASSED: 1}}
    database.close()


def test_files_and_shards_come_back_as_they_were(place: Place, database: Database) -> None:
    database.write_sync(lambda conn: files.insert_file(conn, FILE))
    database.write_sync(lambda conn: shards.insert_shards(conn, [shard(), shard(b"y")]))
    database.write_sync(lambda conn: shards.countersign_shards(conn, {b"x" * 32: b"g" * 64}))
    stored = replace(
        FILE, state=FileState.STORED, size=2**45, sha256=b"h" * 32, segments=9, manifest=b"sealed"
    )
    database.write_sync(lambda conn: files.finish_file(conn, stored))
    database = reopened(place, database)
    assert database.read(lambda conn: files.load_file(conn, "näme", FileState.STORED)) == stored
    assert database.read(lambda conn: files.load_file(conn, "näme", FileState.PUTTING)) is None
    assert database.read(lambda conn: files.load_files(conn, FileState.STORED)) == (stored,)
    signed = replace(shard(), state=ShardState.STORED, farmer_signature=b"g" * 64)
    assert database.read(lambda conn: shards.load_shards(conn, FILE.file_id)) == (signed, shard(b"y"))
    assert database.read(shards.shard_lengths) == {NODE: (5_000,)}
    database.close()


def test_the_segments_of_an_unfinished_file_come_back_in_order(database: Database) -> None:
    database.write_sync(lambda conn: files.insert_file(conn, FILE))
    known = [
        segments.SegmentRecord(
            FILE.file_id, number, b"i" * 32, b"w" * 72, 2**26, b"p" * 32, Timestamp(number)
        )
        for number in (2, 0, 1)
    ]
    for one in known:
        database.write_sync(partial(segments.insert_segment, segment=one))
    ordered = tuple(sorted(known, key=lambda one: one.number))
    assert database.read(lambda conn: segments.load_segments(conn, FILE.file_id)) == ordered
    assert database.read(lambda conn: segments.last_stored(conn, FILE.file_id)) == 2
    database.write_sync(lambda conn: segments.delete_segments(conn, FILE.file_id, 1))
    assert database.read(lambda conn: segments.load_segments(conn, FILE.file_id)) == ordered[:1]
    assert database.read(lambda conn: segments.last_stored(conn, b"other")) is None
    database.close()


def test_what_is_left_of_an_unfinished_file_is_deleted(database: Database) -> None:
    database.write_sync(lambda conn: files.insert_file(conn, FILE))
    records = [replace(shard(name), segment=number) for name, number in ((b"a", 0), (b"b", 1), (b"c", 0))]
    database.write_sync(lambda conn: shards.insert_shards(conn, records))
    signed = {name * 32: b"g" * 64 for name in (b"a", b"b")}
    database.write_sync(lambda conn: shards.countersign_shards(conn, signed))
    assert (
        database.write_sync(lambda conn: shards.delete_unfinished(conn, FILE.file_id, [0], Timestamp(5))) == 2
    )
    states = {
        record.agreement_id[:1]: record.state
        for record in database.read(lambda conn: shards.load_shards(conn, FILE.file_id))
    }
    assert states[b"a"] is ShardState.STORED
    assert {states[b"b"], states[b"c"]} == {ShardState.DELETING}
    database.close()


def test_only_stored_good_running_shards_are_audited(database: Database) -> None:
    names = (b"a", b"b", b"c", b"d")
    database.write_sync(lambda conn: files.insert_file(conn, FILE))
    records = [shard(b"a"), shard(b"b"), shard(b"c", end=2_000), shard(b"d")]
    database.write_sync(lambda conn: shards.insert_shards(conn, records))
    signed = {name * 32: b"g" * 64 for name in names[:3]}
    database.write_sync(lambda conn: shards.countersign_shards(conn, signed))
    now = Timestamp(2_000)
    database.write_sync(lambda conn: shards.record_check(conn, b"b" * 32, Outcome.FAILED, now))
    database.write_sync(lambda conn: shards.record_check(conn, b"b" * 32, Outcome.PASSED, now))
    audited = database.read(lambda conn: shards.load_audited_shards(conn, now))
    assert [record.agreement_id for record in audited] == [b"a" * 32]
    lost = database.read(lambda conn: shards.load_shard(conn, b"b" * 32))
    assert lost is not None
    assert lost.lost
    database.close()


def test_an_audit_pays_for_time_and_an_interval_is_marked_once(database: Database) -> None:
    database.write_sync(lambda conn: files.insert_file(conn, FILE))
    database.write_sync(lambda conn: shards.insert_shards(conn, [shard()]))
    database.write_sync(lambda conn: shards.mark_audited(conn, [b"x" * 32], 4))
    database.write_sync(lambda conn: shards.mark_audited(conn, [b"x" * 32], 3))
    database.write_sync(lambda conn: shards.record_check(conn, b"x" * 32, Outcome.OFFLINE, Timestamp(1_500)))
    database.write_sync(lambda conn: shards.record_check(conn, b"x" * 32, Outcome.PASSED, Timestamp(1_600)))
    database.write_sync(lambda conn: shards.record_check(conn, b"x" * 32, Outcome.OFFLINE, Timestamp(1_700)))
    database.write_sync(lambda conn: shards.advance_paid_until(conn, b"x" * 32, Seconds(30)))
    found = database.read(lambda conn: shards.load_shard(conn, b"x" * 32))
    assert found is not None
    assert (found.audited, found.paid_until, found.checked_at) == (4, 1_630, 1_700)
    assert found.outcome is Outcome.OFFLINE
    database.close()


def test_a_file_given_up_has_its_shards_deleted(database: Database) -> None:
    database.write_sync(lambda conn: files.insert_file(conn, FILE))
    database.write_sync(lambda conn: shards.insert_shards(conn, [shard(), shard(b"y"), shard(b"z")]))
    database.write_sync(lambda conn: shards.set_shard_state(conn, [b"z" * 32], ShardState.GONE))
    assert database.write_sync(lambda conn: shards.delete_later(conn, FILE.file_id, Timestamp(5))) == 2
    assert [one.given_up_at for one in database.read(shards.load_deletions)] == [5, 5]
    database.close()
