"""Makes docs/storage-format.json, the vectors of docs/storage-format.md, by our own code.

python -m tests.storage_format.make_vectors
"""

import json
from hashlib import sha256, shake_256
from pathlib import Path
from typing import Any, Final

from node.cipher import Mask, encrypt_segment
from node.erasure import Codec
from node.identity import NodeKey
from node.manifest import File, Segment, Shard, encode_manifest, seal_manifest
from node.merkle import build_tree
from node.renter_keys import RenterKeys
from node.segments import CHUNK_SIZE
from payments.types import NodeId, Timestamp
from settlement.local_chain import DEV_PHRASE
from settlement.wallet import key_from_phrase

FILE: Final = Path(__file__).parents[2] / "docs" / "storage-format.json"
SHORT, LONG = 100, 2 * CHUNK_SIZE + 1


def bytes_of(name: str, length: int) -> bytes:
    """Bytes that anybody can make: SHAKE256 of the name."""
    return shake_256(name.encode()).digest(length)


def make() -> dict[str, Any]:
    """All vectors."""
    account = key_from_phrase(DEV_PHRASE)
    keys = RenterKeys.of(account)
    return {
        "about": "vectors of storage-format.md, in hex; the file of n bytes is SHAKE256('file of n')",
        "keys": {
            "phrase": DEV_PHRASE,
            "account secret": account.secret.hex(),
            "node key": keys.node.seed.hex(),
            "node id": keys.node.node.hex(),
            "export key": keys.node.derive("export").hex(),
            "mask key": keys.master.mask_key.hex(),
        },
        "code": [_code(k, n) for k, n in ((1, 3), (2, 4), (3, 10), (29, 80), (255, 256))],
        "files": [_file(keys, length, k, n) for length, k, n in ((0, 1, 2), (SHORT, 2, 4), (LONG, 3, 5))],
    }


def _code(k: int, n: int) -> dict[str, Any]:
    """The n shards of k bytes, one byte each."""
    data = bytes_of(f"code {k} of {n}", k)
    shards = Codec(k, n).encode(data)
    return {"k": k, "n": n, "data": data.hex(), "shards": b"".join(shards).hex()}


def _file(keys: RenterKeys, length: int, k: int, n: int) -> dict[str, Any]:
    """A file of one segment, all the way to what farmers keep."""
    name = f"file of {length}"
    data = bytes_of(name, length)
    segment, key = bytes_of(f"{name}: segment", 32), bytes_of(f"{name}: key", 32)
    chunks = [data[at : at + CHUNK_SIZE] for at in range(0, length, CHUNK_SIZE)] or [b""]
    ciphertext = encrypt_segment(key, segment, chunks)
    wrapped = keys.master.wrap(segment, key, bytes_of(f"{name}: key nonce", 24))
    stored, shards = [], []
    for index, shard in enumerate(Codec(k, n).encode(ciphertext)):
        farmer = NodeKey(bytes_of(f"{name}: farmer {index}", 32)).node
        masked = Mask(keys.master.mask_key, segment, index, farmer).apply(shard)
        agreement = bytes_of(f"{name}: agreement {index}", 32)
        stored.append(Shard(index, NodeId(farmer), agreement, build_tree(masked).root))
        shards.append(bytes(masked))
    file = File(
        name,
        length,
        sha256(data).digest(),
        Timestamp(1_800_000_000),
        (Segment(segment, wrapped, length, k, n, tuple(stored)),),
    )
    return {
        "name": name,
        "manifest": encode_manifest(file).hex(),
        "sealed manifest": seal_manifest(file, keys.master, bytes_of(f"{name}: nonce", 24)).hex(),
        "segment key": key.hex(),
        "ciphertext": _short(bytes(ciphertext)),
        "masked shards": [_short(shard) for shard in shards],
    }


def _short(data: bytes) -> dict[str, str]:
    return {"hex": data.hex()} if len(data) <= SHORT * 2 else {"sha256": sha256(data).hexdigest()}


if __name__ == "__main__":
    FILE.write_text(json.dumps(make(), indent=1) + "\n")
