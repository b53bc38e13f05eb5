"""A reader of Tithebarn's files, written from docs/storage-format.md alone: nothing of ours is imported here.

    reader.py EXPORT NAME OUT SHARDS...     with the recovery phrase on standard input

EXPORT is what `tithe backup` wrote; SHARDS are folders of farmers. Section numbers are those of the page.
"""

import hashlib
import json
import sqlite3
import struct
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from nacl import bindings as sodium

CHUNK = 65_536
TAG = 16
LEAF = 1_024
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class Unreadable(Exception):
    """Something is not as the page says."""


# 1. Keys


def derive(secret: bytes, purpose: str, person: str) -> bytes:
    return hashlib.blake2b(purpose.encode(), digest_size=32, key=secret, person=person.encode()).digest()


def account_secret(phrase: str, path: str = "m/44'/60'/0'/0/0") -> bytes:
    """BIP-39 and BIP-32."""
    seed = hashlib.pbkdf2_hmac("sha512", " ".join(phrase.split()).encode(), b"mnemonic", 2048)
    node = hmac_sha512(b"Bitcoin seed", seed)
    for step in path.split("/")[1:]:
        hardened = step.endswith("'")
        number = int(step.rstrip("'")) + (0x80000000 if hardened else 0)
        public = b"\0" + node[:32] if hardened else compressed_point(node[:32])
        grown = hmac_sha512(node[32:], public + number.to_bytes(4, "big"))
        child = (int.from_bytes(grown[:32], "big") + int.from_bytes(node[:32], "big")) % CURVE_ORDER
        node = child.to_bytes(32, "big") + grown[32:]
    return node[:32]


def hmac_sha512(key: bytes, message: bytes) -> bytes:
    block = key.ljust(128, b"\0")
    inner = hashlib.sha512(bytes(byte ^ 0x36 for byte in block) + message).digest()
    return hashlib.sha512(bytes(byte ^ 0x5C for byte in block) + inner).digest()


def compressed_point(secret: bytes) -> bytes:
    key = ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256K1())
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


@dataclass(frozen=True)
class Keys:
    """What a renter's phrase leads to."""

    node: bytes
    master: bytes

    @classmethod
    def of(cls, phrase: str) -> "Keys":
        secret = account_secret(phrase)
        return cls(derive(secret, "node", "tithe renter key"), derive(secret, "master", "tithe renter key"))

    def of_master(self, purpose: str) -> bytes:
        return derive(self.master, purpose, "tithe master key")


def open_sealed(key: bytes, context: bytes, sealed: bytes) -> bytes:
    """XChaCha20-Poly1305, the nonce in front."""
    return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed[24:], context, sealed[:24], key)


# 2. Exports


def unpack_export(export: Path, node_seed: bytes) -> Iterator[tuple[str, bytes]]:
    """The files in an export, by name."""
    whole = memoryview(_decrypt_export(export.read_bytes(), derive(node_seed, "export", "tithe node key")))
    while True:
        length, size = struct.unpack(">HQ", whole[:10])
        if not length:
            return
        name, whole = bytes(whole[10 : 10 + length]).decode(), whole[10 + length :]
        yield name, bytes(whole[:size])
        whole = whole[size:]


def _decrypt_export(export: bytes, key: bytes) -> bytes:
    if export[:8] != b"tithebk1":
        raise Unreadable("no export")
    end = 12 + int.from_bytes(export[8:12], "big")
    json.loads(export[12:end])
    context = hashlib.blake2b(export[:end], digest_size=32).digest()
    state = sodium.crypto_secretstream_xchacha20poly1305_state()
    sodium.crypto_secretstream_xchacha20poly1305_init_pull(state, export[end : end + 24], key)
    plain, tag = bytearray(), 0
    for at in range(end + 24, len(export), CHUNK + 17):
        piece, tag = sodium.crypto_secretstream_xchacha20poly1305_pull(
            state, export[at : at + CHUNK + 17], context
        )
        plain += piece
    if tag != sodium.crypto_secretstream_xchacha20poly1305_TAG_FINAL:
        raise Unreadable("the export is cut short")
    return bytes(plain)


def sealed_manifests(files: Iterable[tuple[str, bytes]]) -> dict[str, bytes]:
    """The sealed manifests of all stored files, by the files' names."""
    found: dict[str, bytes] = {}
    for place, database in files:
        if place.startswith("renter/") and place.endswith("/money.db"):
            with tempfile.NamedTemporaryFile(suffix=".db") as copy:
                copy.write(database)
                copy.flush()
                connection = sqlite3.connect(copy.name)
                query = "SELECT name, manifest FROM renter_file WHERE state = 'stored'"
                found |= dict(connection.execute(query).fetchall())
                connection.close()
    return found


# 3. Manifests


@dataclass(frozen=True)
class Shard:
    index: int
    farmer: bytes
    agreement: bytes
    data_root: bytes


@dataclass(frozen=True)
class Segment:
    id: bytes
    wrapped_key: bytes
    length: int
    k: int
    n: int
    shards: tuple[Shard, ...]

    @property
    def ciphertext_length(self) -> int:
        return self.length + TAG * max(1, -(-self.length // CHUNK))

    @property
    def shard_length(self) -> int:
        return -(-self.ciphertext_length // self.k)


@dataclass(frozen=True)
class Manifest:
    name: str
    size: int
    sha256: bytes
    created: int
    segments: tuple[Segment, ...]


def open_manifest(keys: Keys, sealed: bytes) -> Manifest:
    return decode_manifest(open_sealed(keys.of_master("manifest"), b"", sealed))


def decode_manifest(encoded: bytes) -> Manifest:
    at = 0

    def take(layout: str) -> tuple[Any, ...]:
        nonlocal at
        found = struct.unpack_from(layout, encoded, at)
        at += struct.calcsize(layout)
        return found

    magic, name_length = take(">8sH")
    if magic != b"tithemf1":
        raise Unreadable("no manifest of version 1")
    (name,) = take(f">{name_length}s")
    size, digest, created, count = take(">Q32sQI")
    segments = []
    for _ in range(count):
        identity, wrapped_key, length, k, n, held = take(">32s72sIHHH")
        shards = tuple(Shard(*take(">B32s32s32s")) for _ in range(held))
        segments.append(Segment(identity, wrapped_key, length, k, n, shards))
    if at != len(encoded):
        raise Unreadable("bytes behind the manifest's end")
    return Manifest(name.decode(), size, digest, created, tuple(segments))


# 5. The code: GF(2**8) modulo x**8 + x**4 + x**3 + x**2 + 1


def _powers() -> list[int]:
    found = [1]
    while len(found) < 255:
        double = found[-1] << 1
        found.append(double ^ 0x11D if double & 0x100 else double)
    return found


POWERS = _powers()
LOGARITHMS = {power: exponent for exponent, power in enumerate(POWERS)}


def multiply(a: int, b: int) -> int:
    return POWERS[(LOGARITHMS[a] + LOGARITHMS[b]) % 255] if a and b else 0


def divide(a: int, b: int) -> int:
    return POWERS[(LOGARITHMS[a] - LOGARITHMS[b]) % 255] if a else 0


def point(index: int) -> int:
    """Where the polynomial of a column has the byte of shard `index` as its value."""
    return POWERS[index - 1] if index else 0


def coefficients(given: Sequence[int], wanted: int) -> list[int]:
    """Lagrange: what the bytes of the `given` shards are multiplied by in a byte of the `wanted` one."""
    found = []
    for one in given:
        above, below = 1, 1
        for other in given:
            if other != one:
                above = multiply(above, point(wanted) ^ point(other))
                below = multiply(below, point(one) ^ point(other))
        found.append(divide(above, below))
    return found


def compute_shard(shards: Mapping[int, bytes], wanted: int) -> bytes:
    """Any shard from k others."""
    total = 0
    for factor, shard in zip(coefficients(list(shards), wanted), shards.values(), strict=True):
        table = bytes(multiply(factor, byte) for byte in range(256))
        total ^= int.from_bytes(shard.translate(table), "big")
    return total.to_bytes(len(next(iter(shards.values()))), "big")


def decode(shards: Mapping[int, bytes], k: int, length: int) -> bytes:
    """The ciphertext of a segment from k of its shards."""
    data = [shards[index] if index in shards else compute_shard(shards, index) for index in range(k)]
    return b"".join(data)[:length]


# 6. and 7. Masks and data roots


def unmask(mask_key: bytes, segment: bytes, index: int, farmer: bytes, shard: bytes) -> bytes:
    key = hashlib.blake2b(
        segment + index.to_bytes(4, "big") + farmer, digest_size=32, key=mask_key, person=b"tithe shard mask"
    ).digest()
    return Cipher(algorithms.AES256(key), modes.CTR(bytes(16))).encryptor().update(shard)


def data_root(shard: bytes) -> bytes:
    level = [hashlib.sha256(b"\0" + shard[at : at + LEAF]).digest() for at in range(0, len(shard), LEAF)]
    while len(level) > 1:
        pairs = [
            hashlib.sha256(b"\1" + level[at] + level[at + 1]).digest() for at in range(0, len(level) - 1, 2)
        ]
        level = pairs + level[len(pairs) * 2 :]
    return level[0]


# 4. Segments


def decrypt_segment(keys: Keys, segment: Segment, ciphertext: bytes) -> bytes:
    key = open_sealed(keys.of_master("segment key"), segment.id, segment.wrapped_key)
    sealed = [ciphertext[at : at + CHUNK + TAG] for at in range(0, len(ciphertext), CHUNK + TAG)]
    return b"".join(
        sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
            chunk, segment.id, struct.pack(">15xBQ", index == len(sealed) - 1, index), key
        )
        for index, chunk in enumerate(sealed)
    )


# 8. Farmers' disks, and the whole


def find_shards(keys: Keys, segment: Segment, folders: Sequence[Path]) -> dict[int, bytes]:
    """k good shards of a segment, unmasked."""
    found: dict[int, bytes] = {}
    for shard in segment.shards:
        name = shard.agreement.hex()
        for path in (folder / name[-2:] / f"{name}.shard" for folder in folders):
            data = path.read_bytes() if path.exists() else b""
            if len(data) == segment.shard_length and data_root(data) == shard.data_root:
                mask_key = keys.of_master("mask key")
                found[shard.index] = unmask(mask_key, segment.id, shard.index, shard.farmer, data)
        if len(found) == segment.k:
            return found
    raise Unreadable(f"{len(found)} shards of {segment.k}")


def read_file(keys: Keys, manifest: Manifest, folders: Sequence[Path], out: IO[bytes]) -> None:
    """Write the plaintext of a file."""
    digest = hashlib.sha256()
    for segment in manifest.segments:
        shards = find_shards(keys, segment, folders)
        plain = decrypt_segment(keys, segment, decode(shards, segment.k, segment.ciphertext_length))
        digest.update(plain)
        out.write(plain)
    if digest.digest() != manifest.sha256:
        raise Unreadable("the file's SHA-256 is another")


def main(export: str, name: str, out: str, *folders: str) -> None:
    keys = Keys.of(sys.stdin.read())
    sealed = sealed_manifests(unpack_export(Path(export), keys.node))[name]
    with Path(out).open("wb") as file:
        read_file(keys, open_manifest(keys, sealed), [Path(folder) for folder in folders], file)


if __name__ == "__main__":
    main(*sys.argv[1:])
