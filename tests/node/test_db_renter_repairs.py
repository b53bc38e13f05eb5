"""What the checker and the repairs remember, on disk and after a restart."""

import pytest

from node.audit import Outcome
from node.db import renter_presence as presence
from node.db import renter_repairs as repairs
from node.db.renter_audits import Decision
from payments.types import NodeId, Timestamp
from settlement.database import Database
from tests.databases import Place

FARMER = NodeId(b"f" * 32)
SHARD, OTHER = b"a" * 32, b"b" * 32
TABLES = (*presence.TABLES, *repairs.TABLES)


@pytest.fixture
def database(place: Place) -> Database:
    return place.open(TABLES)


def decide(database: Database, at: int, **outcomes: Outcome) -> None:
    """Note what an audit of `shard` and `other` came to."""
    names = {"shard": SHARD, "other": OTHER}
    found = [Decision(names[name], outcome, "", Timestamp(at)) for name, outcome in outcomes.items()]
    database.write_sync(lambda conn: presence.record_presence(conn, FARMER, found))


def away(database: Database) -> dict[bytes, Timestamp]:
    return database.read(presence.load_away)


def score(database: Database) -> float:
    return database.read(presence.load_scores)[FARMER]


def test_a_shard_is_away_from_its_first_unanswered_audit_until_an_answer(
    place: Place, database: Database
) -> None:
    decide(database, 10, shard=Outcome.OFFLINE)
    decide(database, 20, shard=Outcome.TIMED_OUT, other=Outcome.OFFLINE)
    decide(database, 30, shard=Outcome.UNCHECKED)
    database.close()
    database = place.open(TABLES)
    assert away(database) == {SHARD: 10, OTHER: 20}
    decide(database, 40, shard=Outcome.PASSED, other=Outcome.OFFLINE)
    assert away(database) == {OTHER: 20}
    decide(database, 50, other=Outcome.FAILED)
    assert away(database) == {}


def test_a_score_falls_by_absence_and_rises_by_answers(database: Database) -> None:
    decide(database, 1, shard=Outcome.PASSED)
    assert score(database) == 1
    decide(database, 2, shard=Outcome.OFFLINE, other=Outcome.OFFLINE)
    assert score(database) == pytest.approx(0.9)
    decide(database, 3, shard=Outcome.UNCHECKED)
    decide(database, 4, shard=Outcome.NOT_NEEDED)
    assert score(database) == pytest.approx(0.9)
    decide(database, 5, shard=Outcome.FAILED, other=Outcome.OFFLINE)
    assert score(database) == pytest.approx(0.91)


def test_a_farmer_that_is_first_met_by_its_absence_starts_lower(database: Database) -> None:
    decide(database, 1, shard=Outcome.OFFLINE)
    assert score(database) == pytest.approx(0.9)


def test_traffic_is_counted_from_a_time_on(database: Database) -> None:
    for at in (10, 20, 30):
        database.write_sync(lambda conn, at=at: repairs.reserve_traffic(conn, 2**40, Timestamp(at)))  # type: ignore[misc]  # mypy sees no default
    assert database.read(lambda conn: repairs.sum_traffic(conn, Timestamp(10))) == 2 * 2**40
    assert database.read(lambda conn: repairs.sum_traffic(conn, Timestamp(0))) == 3 * 2**40


def test_traffic_that_was_reserved_is_put_right_when_it_has_moved(database: Database) -> None:
    first, second = (
        database.write_sync(lambda conn: repairs.reserve_traffic(conn, 1_000, Timestamp(10))) for _ in "ab"
    )
    assert first != second
    database.write_sync(lambda conn: repairs.settle_traffic(conn, first, 300))
    assert database.read(lambda conn: repairs.sum_traffic(conn, Timestamp(0))) == 1_300


def test_until_when_a_file_is_kept_can_be_changed(database: Database) -> None:
    for until in (Timestamp(5), Timestamp(9)):
        database.write_sync(lambda conn, until=until: repairs.set_keep(conn, SHARD, until))  # type: ignore[misc]  # mypy sees no default
        assert database.read(repairs.load_keeps) == {SHARD: until}
    database.write_sync(lambda conn: repairs.set_keep(conn, SHARD, None))
    assert database.read(repairs.load_keeps) == {}
