"""What the tests of the node's pure layers share: shards, keys, audits, a quote and an agreement."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak as reference_keccak

from node.agreement import Agreement
from node.audit import Challenge, Item, ItemProof, Proof
from node.identity import NodeKey
from node.merkle import LEAF_SIZE, Tree, build_tree, leaf_count
from payments.eip712 import Domain
from payments.prices import Prices, Quote
from payments.types import Address, Amount, NodeId, Seconds, Timestamp
from tests.payments.make_vectors import named_fields

DOMAIN = Domain(31337, Address(bytes.fromhex("5fbdb2315678afecb367f032d93f642f64180aa3")))
OTHER_DOMAIN = Domain(31338, DOMAIN.contract)
RENTER = NodeKey(b"\x01" * 32)
FARMER = NodeKey(b"\x02" * 32)
STRANGER = NodeKey(b"\x03" * 32)
NOW = 1_800_000_000
DAY = 86_400


def seeded(*parts: object) -> bytes:
    """32 bytes that depend on nothing but their name."""
    return sha256(" ".join(map(str, parts)).encode()).digest()


def make_shard(length: int, seed: int = 0) -> bytes:
    """Bytes of which no two leaves are alike: SHA-256 in counter mode."""
    blocks = (sha256(b"%d %d" % (seed, block)).digest() for block in range(-(-length // 32)))
    return b"".join(blocks)[:length]


def cut(shard: bytes) -> list[bytes]:
    return [shard[at : at + LEAF_SIZE] for at in range(0, len(shard), LEAF_SIZE)]


def make_item(shard: bytes, indices: tuple[int, ...], agreement: bytes) -> Item:
    return Item(agreement, build_tree(shard).root, leaf_count(len(shard)), indices)


def make_item_proof(item: Item, tree: Tree, read_leaf: Callable[[int], bytes]) -> ItemProof:
    """Leaves and paths of one item, true or not, from a tree and what reads a leaf of the shard."""
    leaves = tuple(read_leaf(index) for index in item.indices)
    return ItemProof(leaves, tuple(tree.path(index) for index in item.indices))


def prove(item: Item, shard: bytes, tree: Tree | None = None) -> ItemProof:
    return make_item_proof(item, tree or build_tree(shard), cut(shard).__getitem__)


def make_audit(*shards: bytes, indices: int = 2) -> tuple[Challenge, Proof]:
    """A challenge over the first leaves of these shards, and its proof."""
    items = tuple(
        make_item(shard, tuple(range(min(indices, leaf_count(len(shard))))), seeded("agreement", number))
        for number, shard in enumerate(shards)
    )
    proof = Proof(tuple(prove(item, shard) for item, shard in zip(items, shards, strict=True)))
    return Challenge(seeded("audit"), items), proof


PRICES = Prices(Amount(10**15), Amount(10**13), Amount(10**9))
QUOTE = Quote(
    farmer=FARMER.node,
    sequence=1,
    issued_at=Timestamp(NOW),
    expires_at=Timestamp(NOW + DAY),
    prices=PRICES,
    audit_interval=Seconds(3600),
    response_deadline=Seconds(600),
    grace=Seconds(7 * DAY),
    min_deposit=Amount(1),
    min_agreement_value=Amount(10**10),
    min_challenge_period=Seconds(60),
    max_challenge_period=Seconds(30 * DAY),
    max_agreement_seconds=Seconds(90 * DAY),
    tokens=(Address(b"\x70" * 20),),
    free_bytes=10**9,
)


def make_agreement(**changes: Any) -> Agreement:  # noqa: ANN401 - any field of an Agreement
    """An agreement for a shard of 3,000 bytes at QUOTE's terms, with some terms changed."""
    agreement = Agreement(
        renter=RENTER.node,
        farmer=FARMER.node,
        shard_length=3000,
        leaf_count=3,
        data_root=build_tree(make_shard(3000)).root,
        step=Amount(5 * 10**9),
        audit_interval=QUOTE.audit_interval,
        response_deadline=QUOTE.response_deadline,
        grace=QUOTE.grace,
        download_price=PRICES.download_per_gb,
        start=Timestamp(NOW),
        end=Timestamp(NOW + 30 * DAY),
    )
    return replace(agreement, **changes)


def other_node(node: bytes) -> NodeId:
    return NodeId(bytes([node[0] ^ 1]) + node[1:])


def reference_digest(domain: Domain, kind: str, message: dict[str, Any]) -> bytes:
    """The digest as eth-account's general encoder makes it."""
    separator = {
        "name": "Tithebarn",
        "version": "1",
        "chainId": domain.chain_id,
        "verifyingContract": "0x" + domain.contract.hex(),
    }
    signable = encode_typed_data(separator, named_fields(kind), message)
    return reference_keccak(b"\x19" + signable.version + signable.header + signable.body)


def from_vector(value: Any) -> Any:  # noqa: ANN401 - JSON
    """A value of a committed vector: 0x-hex as bytes, decimal strings as integers, deep down too."""
    match value:
        case str() if value.startswith("0x"):
            return bytes.fromhex(value[2:])
        case str() if value.isdigit():
            return int(value)
        case list():
            return [from_vector(item) for item in value]
        case dict():
            return {name: from_vector(item) for name, item in value.items()}
        case _:
            return value
