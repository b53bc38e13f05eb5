"""What is put aside lies there by day, goes oldest first, and comes back as it was."""

import os
from pathlib import Path

import pytest

from node.aside import DAY, Aside, Sum

NOW = 20_000 * DAY + 7


@pytest.fixture
def aside(tmp_path: Path) -> Aside:
    return Aside(tmp_path / "trash")


def put(aside: Aside, name: bytes, size: int, now: int) -> None:
    file = aside.folder.parent / name.hex()
    file.write_bytes(name[-1:] * size)
    aside.take(file, name, now)


def names(count: int) -> list[bytes]:
    return [os.urandom(31) + bytes([number]) for number in range(count)]


def test_nothing_was_ever_put_aside(aside: Aside) -> None:
    assert aside.count() == aside.empty(NOW, 0) == aside.make_room(5) == Sum()
    assert (aside.by_day(), list(aside.shards()), aside.find(bytes(32))) == ({}, [], None)
    aside.take(aside.folder.parent / "not there", bytes(32), NOW)
    assert aside.total == Sum()


def test_what_is_put_aside_is_counted_and_found_by_whoever_comes_later(aside: Aside) -> None:
    first, second = names(2)
    put(aside, first, 10, NOW)
    put(aside, second, 20, NOW + DAY)
    assert aside.total == Sum(2, 30)
    later = Aside(aside.folder)
    assert later.count() == Sum(2, 30)
    assert later.by_day() == {20_000: Sum(1, 10), 20_001: Sum(1, 20)}
    assert [one.name for one in later.shards()] == [first, second]


def test_the_same_shard_twice_is_one(aside: Aside) -> None:
    (name,) = names(1)
    put(aside, name, 10, NOW)
    put(aside, name, 12, NOW)
    assert aside.total == aside.count() == Sum(1, 12)


def test_nothing_goes_before_its_time(aside: Aside) -> None:
    (name,) = names(1)
    put(aside, name, 10, 20_001 * DAY - 1)
    assert aside.empty(20_001 * DAY - 1 + 3 * DAY, 3 * DAY) == Sum()
    assert aside.empty(20_001 * DAY + 3 * DAY, 3 * DAY) == Sum(1, 10)
    assert aside.total == Sum()
    assert list(aside.folder.iterdir()) == []


def test_room_is_made_of_the_oldest_and_no_more_than_is_wanted(aside: Aside) -> None:
    old, older, new = names(3)
    put(aside, old, 10, NOW)
    put(aside, older, 10, NOW - DAY)
    put(aside, new, 10, NOW + DAY)
    assert aside.make_room(11) == Sum(2, 20)
    assert [one.name for one in aside.shards()] == [new]
    assert aside.make_room(10**9) == Sum(1, 10)
    assert aside.total == aside.count() == Sum()


def test_what_is_given_back_is_as_it_was(aside: Aside, tmp_path: Path) -> None:
    (name,) = names(1)
    put(aside, name, 10, NOW)
    found = aside.find(name)
    assert found is not None
    (tmp_path / "kept").mkdir()
    aside.give_back(found, tmp_path / "kept" / "here")
    assert (tmp_path / "kept" / "here").read_bytes() == name[-1:] * 10
    assert (aside.find(name), aside.total) == (None, Sum())
