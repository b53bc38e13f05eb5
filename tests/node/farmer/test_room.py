"""What shards take on a disk is no more than is counted, and what is promised is no more than there is."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.farmer.room import PER_SHARD, Room, footprint
from node.merkle import leaf_count
from node.shard_store import ShardStore
from payments.types import MIB

BLOCK = 4096
ROOM = Room(capacity=100_000, stored=0, reserved=0, trash=0, quarantine=0, disk_free=10**9, keep_free=10**6)


def blocks(length: int) -> int:
    return -(-length // BLOCK) * BLOCK


def tree_length(leaves: int) -> int:
    nodes = leaves
    while leaves > 1:
        leaves = (leaves + 1) // 2
        nodes += leaves
    return 16 + 32 * nodes


@given(length=st.integers(1, 64 * MIB))
def test_the_footprint_covers_both_files_in_whole_blocks(length: int) -> None:
    assert blocks(length) + blocks(tree_length(leaf_count(length))) <= footprint(length)


@pytest.mark.parametrize("length", [1, 1_024, 1_025, 5_000, 100_000, 2_314_099])
def test_a_kept_shard_takes_no_more_than_its_footprint(tmp_path: Path, length: int) -> None:
    store = ShardStore(tmp_path)
    store.prepare()
    incoming = store.receive()
    incoming.write(os.urandom(length))
    incoming.keep(bytes(32), incoming.finish())
    sizes = [path.stat().st_size for path in store.path(bytes(32)).parent.iterdir()]
    assert sorted(sizes) == sorted([length, tree_length(leaf_count(length))])
    assert sum(map(blocks, sizes)) <= footprint(length)


@given(free=st.integers(0, 10**7))
def test_the_longest_shard_offered_fits_and_one_byte_more_does_not(free: int) -> None:
    room = replace(ROOM, capacity=free)
    assert footprint(room.offered) <= free or free <= PER_SHARD
    assert footprint(room.offered + 1) > free


@pytest.mark.parametrize(
    ("change", "free", "untouched"),
    [
        ({}, 100_000, 100_000),
        ({"stored": 60_000, "reserved": 40_000}, 0, 0),
        ({"stored": 60_000, "trash": 40_000}, 40_000, 0),
        ({"stored": 60_000, "quarantine": 30_000}, 10_000, 10_000),
        ({"stored": 160_000}, 0, -60_000),
        ({"disk_free": 1_050_000}, 50_000, 50_000),
        ({"disk_free": 1_050_000, "reserved": 50_000}, 0, 0),
        ({"disk_free": 1_000_000, "trash": 7_000}, 7_000, 0),
        ({"disk_free": 999_999}, 0, -1),
    ],
)
def test_room_is_what_capacity_and_disk_leave_and_trash_can_give(
    change: dict[str, int], free: int, untouched: int
) -> None:
    room = replace(ROOM, **change)
    assert (room.free, room.untouched) == (free, untouched)
