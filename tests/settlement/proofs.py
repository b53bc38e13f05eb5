"""Audits on paper: a shard, a challenge of some of its leaves, and the voucher that its proof makes good."""

import hashlib
import os
from dataclasses import replace
from functools import partial

from node.audit import Challenge, Item, Proof, challenge_digest
from node.merkle import LEAF_SIZE, build_tree
from node.packed_proof import pack_proof
from payments.types import Address
from payments.vouchers import Voucher, channel_id, sign_voucher
from settlement.calls import Claim
from tests.node.support import make_item_proof
from tests.settlement.support import World


def proven(
    w: World, payee: Address, total: int, *, leaves: int = 5, indices: tuple[int, ...] = (3,), items: int = 1
) -> Claim:
    """A conditional voucher with the proof of an audit of this many shards."""
    asked, shown = [], []
    for number in range(items):
        data = hashlib.shake_256(b"shard %d" % number).digest(leaves * LEAF_SIZE - 100)
        tree = build_tree(data)
        item = Item(os.urandom(32), tree.root, tree.leaf_count, indices)
        asked.append(item)
        shown.append(make_item_proof(item, tree, partial(_leaf, data)))
    challenge = Challenge(os.urandom(32), tuple(asked))
    plain = w.voucher(payee, total)
    condition = challenge_digest(w.chain.domain, challenge)
    promise = Voucher(channel_id(w.chain.domain, plain.terms), plain.voucher.total, condition)
    voucher = sign_voucher(w.chain.domain, promise, w.signer)
    return Claim(plain.terms, voucher, pack_proof(challenge, Proof(tuple(shown))))


def tampered(claim: Claim) -> Claim:
    """The same with one bit of a leaf turned."""
    middle = len(claim.proof) // 2
    turned = bytes((claim.proof[middle] ^ 1,))
    return replace(claim, proof=claim.proof[:middle] + turned + claim.proof[middle + 1 :])


def _leaf(data: bytes, index: int) -> bytes:
    return data[index * LEAF_SIZE : (index + 1) * LEAF_SIZE]
