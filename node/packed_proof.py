"""A proof as the contract takes it: bytes from which it computes the condition, and not one more.

The audit's id, then for each item `agreement (32 bytes) || leaf count (8) || count (1) || indices (8 each)`,
then for each index its leaf and its path, bottom up. Every leaf has 1,024 bytes but a shard's last, before
which stands its length (2). The data root is not in them: it follows. Twin of contracts/src/Proofs.sol.
"""

from typing import Final

from node.audit import Challenge, Item, ItemProof, Proof

UINT64_BYTES: Final = 8
LENGTH_BYTES: Final = 2


def pack_proof(challenge: Challenge, proof: Proof) -> bytes:
    """Pack a proof that `verify_proof` has found good, for a claim of the voucher that it makes good."""
    parts = [pack_item(item, part) for item, part in zip(challenge.items, proof.items, strict=True)]
    return b"".join((challenge.audit_id, *parts))


def pack_item(item: Item, proof: ItemProof) -> bytes:
    """Pack one item: at most `claim_bytes(item)` bytes."""
    head = (item.agreement, _uint64(item.leaf_count), bytes([len(item.indices)]), *map(_uint64, item.indices))
    branches = [
        _leaf(leaf, last=index == item.leaf_count - 1) + b"".join(path)
        for index, leaf, path in zip(item.indices, proof.leaves, proof.paths, strict=True)
    ]
    return b"".join((*head, *branches))


def _leaf(leaf: bytes, *, last: bool) -> bytes:
    return len(leaf).to_bytes(LENGTH_BYTES, "big") + leaf if last else leaf


def _uint64(number: int) -> bytes:
    return number.to_bytes(UINT64_BYTES, "big")
