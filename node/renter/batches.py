"""Batches: which shards of a farmer are asked for in one challenge, and how many leaves of each.

Pure. A challenge's proof must fit one claim transaction and one message, and its worth what the farmer
lends. As many leaves are asked of each shard, at most four, as leave the whole round in one challenge;
a round of many shards asks for one leaf of each, in several challenges one after another.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from node.audit import MAX_CLAIM_BYTES, MAX_INDICES, Item, choose_indices, claim_bytes
from node.db.renter_shards import ShardRecord
from node.messages import MAX_ITEMS
from payments.types import Amount

RANDOM_BYTES = 32


@dataclass(frozen=True, slots=True)
class Subject:
    """A shard to be audited: the name of its file, and which of its agreement's intervals this is for."""

    shard: ShardRecord
    file: str
    interval: int


def group_subjects(subjects: Sequence[Subject], most: Amount | None = None) -> list[tuple[Subject, ...]]:
    """Cut a round into challenges, in order. `most`: what one may be worth, as far as a farmer has said."""
    groups: list[list[Subject]] = []
    room, worth = 0, 0
    for subject in subjects:
        size, step = _size(subject, 1), subject.shard.agreement.step
        full = size > room or (most is not None and worth + step > most)
        if not groups or full or len(groups[-1]) == MAX_ITEMS:
            groups.append([])
            room, worth = MAX_CLAIM_BYTES, 0
        groups[-1].append(subject)
        room, worth = room - size, worth + step
    return [tuple(group) for group in groups]


def to_items(group: Sequence[Subject], random: Callable[[int], bytes]) -> tuple[Item, ...]:
    """Choose leaves of each shard of a group, by `random(length)`: nobody can know them before."""
    leaves = leaves_each(group)
    return tuple(
        Item(
            agreement=subject.shard.agreement_id,
            data_root=subject.shard.agreement.data_root,
            leaf_count=subject.shard.agreement.leaf_count,
            indices=choose_indices(subject.shard.agreement.leaf_count, leaves, random(RANDOM_BYTES)),
        )
        for subject in group
    )


def leaves_each(group: Sequence[Subject]) -> int:
    """How many leaves of each shard fit one claim: at most four, at least one."""
    for leaves in range(MAX_INDICES, 1, -1):
        if sum(_size(subject, leaves) for subject in group) <= MAX_CLAIM_BYTES:
            return leaves
    return 1


def _size(subject: Subject, leaves: int) -> int:
    return _claim_size(subject.shard.agreement.leaf_count, leaves)


@lru_cache(maxsize=1024)
def _claim_size(leaf_count: int, leaves: int) -> int:
    """Bytes of one item in a packed proof: most shards of a renter have the same length."""
    return claim_bytes(Item(bytes(32), bytes(32), leaf_count, tuple(range(min(leaves, leaf_count)))))
