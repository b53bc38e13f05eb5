"""A shelf: what a renter has its farmers keep for the day on which it has nothing but its phrase.

An entry a file, another one for the farmers it knows. Each is encrypted by a key made of the node key and
bound to its name and version, so that a farmer can neither read nor mix up, nor pass off an old one as new.
"""

import json
import os
import zlib
from typing import Any, Final

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError

from node.errors import CorruptEntry
from node.identity import NodeKey

ENTRY_SIZE: Final = 16
PEERS: Final = bytes(ENTRY_SIZE)
"""The entry that lists the farmers; every other is named after a file."""
LARGEST: Final = 64 * 1024 * 1024
"""Bytes that an entry may have when it is unpacked: bounds what a foreign one can cost."""
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


def _context(entry: bytes, version: int) -> bytes:
    return entry + version.to_bytes(8, "big")
