"""An audit: a challenge that names leaves of shards, the proof that shows them, the rules both sides check.

The renter's voucher carries the EIP-712 hash of the challenge as its condition, so the proof is what makes
the voucher good. One challenge may cover many agreements, one item each. Whoever cannot prove every item
reveals nothing and declines, naming the items that are gone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from itertools import pairwise
from typing import Final

from node.errors import (
    BadIndices,
    ChallengeTooLarge,
    EmptyChallenge,
    ItemDiffers,
    RepeatedAgreement,
    TooLittleRandomness,
    UnknownAgreement,
)
from node.merkle import HASH_SIZE, LEAF_SIZE, Commitment, path_length, verify_path
from payments.eip712 import Domain, keccak, type_hash, typed_digest, word
from payments.types import to_bytes32, to_uint

MAX_INDICES: Final = 4
MAX_CLAIM_BYTES: Final = 96 * 1024
"""Bytes of one packed proof; a transaction in common pools has at most 128 KiB."""
ITEM_HEAD: Final = 32 + 8 + 1
"""Bytes of an item's agreement, leaf count and number of indices in a packed proof."""
INDEX_AND_LENGTH: Final = 8 + 2
"""Bytes of an index and of the length of a shard's last leaf."""
MIN_RANDOMNESS: Final = 16
TRIES: Final = 3
"""Sendings of a challenge after which silence means that the data is lost."""

ITEM_TYPE: Final = "Item(bytes32 agreement,bytes32 dataRoot,uint64 leafCount,uint64[] indices)"
CHALLENGE_TYPE: Final = "Challenge(bytes32 auditId,Item[] items)" + ITEM_TYPE

_ITEM_TYPE_HASH: Final = type_hash(ITEM_TYPE)
_CHALLENGE_TYPE_HASH: Final = type_hash(CHALLENGE_TYPE)


@dataclass(frozen=True, slots=True)
class Item:
    """What is asked of one agreement: 1 to 4 rising `indices` below `leaf_count`; hashes of 32 bytes."""

    agreement: bytes
    data_root: bytes
    leaf_count: int
    indices: tuple[int, ...]

    def __post_init__(self) -> None:
        to_bytes32("agreement", self.agreement)
        to_bytes32("data_root", self.data_root)
        to_uint("leaf_count", self.leaf_count, 64)
        for index in self.indices:
            to_uint("index", index, 64)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One audit of one farmer: `audit_id` is 32 random bytes, never used twice."""

    audit_id: bytes
    items: tuple[Item, ...]

    def __post_init__(self) -> None:
        to_bytes32("audit_id", self.audit_id)


@dataclass(frozen=True, slots=True)
class ItemProof:
    """For each index of an item, in order, the leaf's bytes and its path from the bottom up."""

    leaves: tuple[bytes, ...]
    paths: tuple[tuple[bytes, ...], ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """One ItemProof for each item of the challenge, in order."""

    items: tuple[ItemProof, ...]


class Fault(Enum):
    """Why an item's proof is refused."""

    ITEMS_MISCOUNTED = "the proof has not one part for each item of the challenge"
    LEAVES_MISCOUNTED = "the proof has not one leaf and one path for each index"
    LEAF_LENGTH = "a leaf has not the length it must have"
    PATH_LENGTH = "a path has not the length that index and leaf count require"
    NOT_IN_TREE = "a leaf and its path do not lead to the data root"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a proof is worth for one agreement: good without a fault; `index` is the first leaf at fault."""

    agreement: bytes
    fault: Fault | None = None
    index: int | None = None

    @property
    def good(self) -> bool:
        """Whether the item is proven."""
        return self.fault is None


# The condition


def challenge_digest(domain: Domain, challenge: Challenge) -> bytes:
    """Hash the challenge after EIP-712: 32 bytes, the `condition` of the voucher that pays for it."""
    items = keccak(b"".join([_item_hash(item) for item in challenge.items]))
    return typed_digest(domain, keccak(_CHALLENGE_TYPE_HASH + challenge.audit_id + items))


def _item_hash(item: Item) -> bytes:
    indices = keccak(b"".join([word(index) for index in item.indices]))
    return keccak(_ITEM_TYPE_HASH + item.agreement + item.data_root + word(item.leaf_count) + indices)


# Choosing


def choose_indices(leaf_count: int, count: int, randomness: bytes) -> tuple[int, ...]:
    """Choose `count` (at most 4, at most all) different leaves, every set equally likely, in rising order.

    `randomness` is 16 bytes or more from a secret, fresh source; SHA-256 in counter mode stretches it.
    Numbers beyond the leaf count are thrown away, not folded back, so no leaf is likelier than another.
    Raises TooLittleRandomness.
    """
    if len(randomness) < MIN_RANDOMNESS:
        raise TooLittleRandomness(len(randomness), MIN_RANDOMNESS)
    wanted = min(count, MAX_INDICES, leaf_count)
    if wanted == leaf_count:
        return tuple(range(leaf_count))
    chosen: set[int] = set()
    shift = 256 - (leaf_count - 1).bit_length()
    counter = 0
    while len(chosen) < wanted:
        block = sha256(b"tithebarn indices" + counter.to_bytes(8, "big") + randomness).digest()
        number = int.from_bytes(block, "big") >> shift
        if number < leaf_count:
            chosen.add(number)
        counter += 1
    return tuple(sorted(chosen))


# The farmer's side


def check_challenge(challenge: Challenge, held: Mapping[bytes, Commitment]) -> None:
    """Refuse a challenge that a farmer must not answer; `held` are its agreements with this renter by id.

    Raises EmptyChallenge, RepeatedAgreement, UnknownAgreement, ItemDiffers, BadIndices, ChallengeTooLarge.
    """
    if not challenge.items:
        raise EmptyChallenge(challenge.audit_id)
    seen: set[bytes] = set()
    for item in challenge.items:
        if item.agreement in seen:
            raise RepeatedAgreement(item.agreement)
        seen.add(item.agreement)
        commitment = held.get(item.agreement)
        if commitment is None:
            raise UnknownAgreement(item.agreement)
        if (item.data_root, item.leaf_count) != (commitment.data_root, commitment.leaf_count):
            raise ItemDiffers(item.agreement, item.data_root, item.leaf_count)
        if not good_indices(item):
            raise BadIndices(item.agreement, item.indices, item.leaf_count)
    size = sum(map(claim_bytes, challenge.items))
    if size > MAX_CLAIM_BYTES:
        raise ChallengeTooLarge(size, MAX_CLAIM_BYTES)


def good_indices(item: Item) -> bool:
    """Whether the item's indices are 1 to 4, strictly increasing and below its leaf count."""
    bounds = (-1, *item.indices, item.leaf_count)
    rising = all(low < high for low, high in pairwise(bounds))
    return rising and 1 <= len(item.indices) <= MAX_INDICES


# The renter's side, and the farmer's check of itself


def verify_proof(
    challenge: Challenge, proof: Proof, lengths: Mapping[bytes, int] | None = None
) -> tuple[Verdict, ...]:
    """Give one verdict for each item of the challenge, in order; a bad proof is a verdict, not an exception.

    `lengths` maps agreement ids to shard lengths where known; the last leaf must then have exactly the length
    that the shard leaves it. The voucher is good only if every verdict is.
    """
    if len(proof.items) != len(challenge.items):
        return tuple(Verdict(item.agreement, Fault.ITEMS_MISCOUNTED) for item in challenge.items)
    known = lengths or {}
    return tuple(
        verify_item(item, part, known.get(item.agreement))
        for item, part in zip(challenge.items, proof.items, strict=True)
    )


def verify_item(item: Item, proof: ItemProof, shard_length: int | None = None) -> Verdict:
    """Judge one item. Every other length, index, tree or number of leaves is a fault; never raises."""
    if not good_indices(item) or not len(item.indices) == len(proof.leaves) == len(proof.paths):
        return Verdict(item.agreement, Fault.LEAVES_MISCOUNTED)
    for index, leaf, path in zip(item.indices, proof.leaves, proof.paths, strict=True):
        fault = _leaf_fault(item, index, leaf, path, shard_length)
        if fault:
            return Verdict(item.agreement, fault, index)
    return Verdict(item.agreement)


def _leaf_fault(
    item: Item, index: int, leaf: bytes, path: Sequence[bytes], shard_length: int | None
) -> Fault | None:
    last = index == item.leaf_count - 1
    if not (len(leaf) == LEAF_SIZE or (last and 0 < len(leaf) < LEAF_SIZE)):
        return Fault.LEAF_LENGTH
    if shard_length is not None and len(leaf) != min(LEAF_SIZE, shard_length - index * LEAF_SIZE):
        return Fault.LEAF_LENGTH
    if len(path) != path_length(index, item.leaf_count):
        return Fault.PATH_LENGTH
    if not verify_path(leaf, index, item.leaf_count, path, item.data_root):
        return Fault.NOT_IN_TREE
    return None


# Sizes


def claim_bytes(item: Item) -> int:
    """Bound the bytes of one item in a packed proof: reached by a full leaf on a longest path.

    Which leaves are asked for does not matter, so that renter and farmer agree on what fits.
    """
    height = max(0, item.leaf_count - 1).bit_length()
    return ITEM_HEAD + (INDEX_AND_LENGTH + LEAF_SIZE + HASH_SIZE * height) * len(item.indices)


# Outcomes


class Outcome(Enum):
    """What an audit came to. Only PASSED earns, only FAILED counts as lost data."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    OFFLINE = "OFFLINE"
    TIMED_OUT = "TIMED_OUT"
    NOT_NEEDED = "NOT_NEEDED"
    UNCHECKED = "UNCHECKED"


class Answer(Enum):
    """What came of one try to have a challenge answered, for one item."""

    PROVEN = "a proof that verifies"
    DISPROVED = "a proof that does not"
    DECLINED = "the farmer said that it cannot prove this item"
    SILENT = "the farmer is reachable, but sent no answer or refused without a right to"
    UNREACHABLE = "no connection to the farmer"
    OUR_FAULT = "we could not ask or not check: our network, our money, our state"


@dataclass(frozen=True, slots=True)
class Try:
    """One sending of the challenge: when (unix seconds) and what came of it."""

    at: int
    answer: Answer


@dataclass(frozen=True, slots=True)
class Window:
    """The time a farmer has: `response_deadline` seconds from `opened_at`; `end` is the agreement's."""

    opened_at: int
    response_deadline: int
    end: int

    @property
    def length(self) -> int:
        """Seconds in it: the deadline agreed, but never too short for three tries."""
        return max(self.response_deadline, TRIES)

    @property
    def closes_at(self) -> int:
        """When the farmer should have answered."""
        return self.opened_at + self.length


def try_times(window: Window) -> tuple[int, ...]:
    """Say when to send the challenge: at once, and again after each third of the window."""
    return tuple(window.opened_at + window.length * part // TRIES for part in range(TRIES))


def classify(tries: Sequence[Try], window: Window, now: int) -> Outcome | None:
    """Decide the outcome of one item after these tries; None while the farmer still has time.

    A proof passes however late it comes, for that is what the chain would pay. A bad proof or a declined item
    is FAILED at once. Without either, the agreement's end makes it NOT_NEEDED; otherwise the window decides
    once it has closed: FAILED if a reachable farmer let three tries go by, one in each third of the window,
    TIMED_OUT if fewer, OFFLINE if it was never reached, UNCHECKED if we never managed to ask.
    """
    answers = {attempt.answer for attempt in tries}
    if Answer.PROVEN in answers:
        return Outcome.PASSED
    if answers & {Answer.DISPROVED, Answer.DECLINED}:
        return Outcome.FAILED
    if now >= window.end:
        return Outcome.NOT_NEEDED
    if now < window.closes_at:
        return None
    if Answer.SILENT in answers:
        return Outcome.FAILED if _silent_throughout(tries, window) else Outcome.TIMED_OUT
    return Outcome.OFFLINE if Answer.UNREACHABLE in answers else Outcome.UNCHECKED


def _silent_throughout(tries: Sequence[Try], window: Window) -> bool:
    starts = try_times(window)
    thirds = {
        sum(start <= attempt.at for start in starts) for attempt in tries if attempt.answer is Answer.SILENT
    }
    return thirds >= set(range(1, TRIES + 1))
