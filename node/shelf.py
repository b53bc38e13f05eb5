"""A shelf: what a renter has its farmers keep for the day on which it has nothing but its phrase.

An entry a file, another one for the farmers it knows. Each is encrypted by a key made of the node key and
bound to its name and version, so that a farmer can neither read nor mix up, nor pass off an old one as new.
One that is larger than farmers take is cut into parts, which are entries too; under its own name it says how
many there are.
"""

import json
import os
import zlib
from base64 import b64decode, b64encode
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError

from node.errors import CorruptEntry, EntryTooLarge
from node.identity import NodeKey

ENTRY_SIZE: Final = 16
PEERS: Final = bytes(ENTRY_SIZE)
"""The entry that lists the farmers; every other is named after a file."""
LARGEST: Final = 64 * 1024 * 1024
"""Bytes that an entry may have when it is unpacked: bounds what a foreign one can cost."""
LARGEST_WHOLE: Final = 256 * 1024 * 1024
"""Bytes that an entry in parts may have when they are unpacked together: a file of about 190 GiB."""
PART: Final = 3 * 1024 * 1024
"""Packed bytes that go into one entry: in JSON and sealed they stay below what farmers take."""
_PURPOSE: Final = "shelf"
_NONCE_SIZE: Final = 24


def seal_entry(key: NodeKey, entry: bytes, version: int, content: dict[str, Any]) -> bytes:
    """Pack and encrypt an entry (JSON, deflated, XChaCha20-Poly1305)."""
    packed = zlib.compress(json.dumps(content, separators=(",", ":")).encode())
    nonce = os.urandom(_NONCE_SIZE)
    return nonce + crypto_aead_xchacha20poly1305_ietf_encrypt(
        packed, _context(entry, version), nonce, key.derive(_PURPOSE)
    )


def open_entry(key: NodeKey, entry: bytes, version: int, sealed: bytes) -> dict[str, Any]:
    """Decrypt and unpack an entry. Raises CorruptEntry for what this node did not seal as just this."""
    nonce, ciphertext = sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:]
    try:
        packed = crypto_aead_xchacha20poly1305_ietf_decrypt(
            ciphertext, _context(entry, version), nonce, key.derive(_PURPOSE)
        )
        inflater = zlib.decompressobj()
        content = json.loads(inflater.decompress(packed, LARGEST))
    except (CryptoError, ValueError, TypeError, zlib.error) as error:
        raise CorruptEntry(entry, version) from error
    if not isinstance(content, dict):
        raise CorruptEntry(entry, version)
    return content


def seal_parts(
    key: NodeKey, entry: bytes, version: int, content: dict[str, Any]
) -> list[tuple[bytes, bytes]]:
    """Seal an entry, in parts if it is large: names and sealed bytes, the one that makes it whole last.

    Raises EntryTooLarge.
    """
    plain = json.dumps(content, separators=(",", ":")).encode()
    packed = zlib.compress(plain)
    if len(packed) <= PART:
        return [(entry, seal_entry(key, entry, version, content))]
    if len(plain) > LARGEST_WHOLE:
        raise EntryTooLarge(entry, len(plain), LARGEST_WHOLE)
    pieces = [packed[start : start + PART] for start in range(0, len(packed), PART)]
    named = [(part_name(entry, number), piece) for number, piece in enumerate(pieces)]
    sealed = [
        (name, seal_entry(key, name, version, {"part": b64encode(piece).decode()})) for name, piece in named
    ]
    return [*sealed, (entry, seal_entry(key, entry, version, {"parts": len(pieces)}))]


def join_parts(entry: bytes, version: int, parts: Sequence[str]) -> dict[str, Any]:
    """Put the parts of an entry together, each as its `part` says. Raises CorruptEntry."""
    try:
        packed = b"".join(b64decode(part, validate=True) for part in parts)
        inflater = zlib.decompressobj()
        content = json.loads(inflater.decompress(packed, LARGEST_WHOLE))
    except (ValueError, TypeError, zlib.error) as error:
        raise CorruptEntry(entry, version) from error
    if not (inflater.eof and isinstance(content, dict)):
        raise CorruptEntry(entry, version)
    return content


def part_name(entry: bytes, number: int) -> bytes:
    """Name a part of an entry: BLAKE2b of the entry's name and the part's number (from 0, 4 bytes)."""
    return blake2b(entry + number.to_bytes(4, "big"), digest_size=ENTRY_SIZE).digest()


def _context(entry: bytes, version: int) -> bytes:
    return entry + version.to_bytes(8, "big")
