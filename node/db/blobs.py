"""Challenges and proofs as bytes for one database column: every part behind its count or length, big-endian.

Only what this node wrote itself is read back; bytes that do not fit raise ValueError.
"""

from struct import error as struct_error
from struct import pack, unpack_from
from typing import Final

from node.audit import Challenge, Item, ItemProof, Proof

_HASH: Final = 32


def pack_challenge(challenge: Challenge) -> bytes:
    """Audit id, count of items; each: agreement, data root, leaf count, count of indices, indices."""
    parts = [challenge.audit_id, pack(">H", len(challenge.items))]
    for item in challenge.items:
        count = len(item.indices)
        parts += [item.agreement, item.data_root]
        parts.append(pack(f">QB{count}Q", item.leaf_count, count, *item.indices))
    return b"".join(parts)


def unpack_challenge(data: bytes) -> Challenge:
    """The challenge that `pack_challenge` wrote. Raises ValueError."""
    reader = _Reader(data)
    audit_id = reader.take(_HASH)
    items = []
    for _ in range(reader.number("H")):
        agreement, data_root = reader.take(_HASH), reader.take(_HASH)
        leaf_count, count = reader.number("Q"), reader.number("B")
        items.append(Item(agreement, data_root, leaf_count, tuple(reader.number("Q") for _ in range(count))))
    reader.end()
    return Challenge(audit_id, tuple(items))


def pack_proof(proof: Proof) -> bytes:
    """Count of items; each: count of leaves; each leaf: its length and bytes, count of hashes, hashes."""
    parts = [pack(">H", len(proof.items))]
    for item in proof.items:
        parts.append(pack(">B", len(item.leaves)))
        for leaf, path in zip(item.leaves, item.paths, strict=True):
            parts += [pack(">H", len(leaf)), leaf, pack(">B", len(path)), *path]
    return b"".join(parts)


def unpack_proof(data: bytes) -> Proof:
    """The proof that `pack_proof` wrote. Raises ValueError."""
    reader = _Reader(data)
    items = []
    for _ in range(reader.number("H")):
        shown = [_unpack_leaf(reader) for _ in range(reader.number("B"))]
        items.append(ItemProof(tuple(leaf for leaf, _ in shown), tuple(path for _, path in shown)))
    reader.end()
    return Proof(tuple(items))


def _unpack_leaf(reader: "_Reader") -> tuple[bytes, tuple[bytes, ...]]:
    leaf = reader.take(reader.number("H"))
    return leaf, tuple(reader.take(_HASH) for _ in range(reader.number("B")))


class _Reader:
    """Takes bytes and numbers off the front."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, length: int) -> bytes:
        part = self._data[self._at : self._at + length]
        if len(part) != length:
            raise ValueError("a stored challenge or proof ends early")
        self._at += length
        return part

    def number(self, kind: str) -> int:
        try:
            (value,) = unpack_from(">" + kind, self._data, self._at)
        except struct_error as err:
            raise ValueError("a stored challenge or proof ends early") from err
        self._at += {"B": 1, "H": 2, "Q": 8}[kind]
        return int(value)

    def end(self) -> None:
        if self._at != len(self._data):
            raise ValueError("bytes are left behind a stored challenge or proof")
