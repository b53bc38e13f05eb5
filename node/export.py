"""An export: all that a node must not lose, in one file that may be given to anybody.

Behind a short label in the clear (whose it is, when it was taken) everything is encrypted by a key made of
the node key, which the wallet's phrase gives back. Keys themselves are inside only where asked for, and then
once more sealed by a passphrase. Cut, changed or foreign files are refused before anything is believed: the
stream is authenticated chunk by chunk, the label with the first, its end by the last (libsodium's
secretstream, XChaCha20-Poly1305).
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from struct import Struct
from typing import Any, BinaryIO, Final

from nacl.bindings import (
    crypto_secretstream_xchacha20poly1305_ABYTES,
    crypto_secretstream_xchacha20poly1305_HEADERBYTES,
    crypto_secretstream_xchacha20poly1305_init_pull,
    crypto_secretstream_xchacha20poly1305_init_push,
    crypto_secretstream_xchacha20poly1305_pull,
    crypto_secretstream_xchacha20poly1305_push,
    crypto_secretstream_xchacha20poly1305_state,
    crypto_secretstream_xchacha20poly1305_TAG_FINAL,
    crypto_secretstream_xchacha20poly1305_TAG_MESSAGE,
)
from nacl.exceptions import CryptoError
from pydantic_core import from_json

from node.errors import DamagedExport, NotThisNode
from node.hex import from_hex, to_hex
from node.identity import NodeKey
from payments.types import Address, NodeId, Timestamp

VERSION: Final = 1
_MAGIC: Final = b"tithebk1"
_PURPOSE: Final = "export"
_CHUNK: Final = 64 * 1024
_SEALED: Final = _CHUNK + crypto_secretstream_xchacha20poly1305_ABYTES
_LONGEST_LABEL: Final = 1 << 20
_LENGTH: Final = Struct(">I")
_PART: Final = Struct(">HQ")
_ROLES: Final = ("renter", "farmer")
_LONGEST_NAME: Final = 512


@dataclass(frozen=True, slots=True)
class Label:
    """What anybody may read of an export.

    role: "renter" or "farmer". account: of whose phrase the keys were made, None where of none. keys: the
    node's key files sealed by a passphrase (node.key_box), empty where they were not asked for.
    """

    role: str
    node: NodeId
    account: Address | None
    taken_at: Timestamp
    keys: bytes = b""


@dataclass(frozen=True, slots=True)
class Part:
    """One file of an export: its place below the home, and where its bytes are now."""

    name: str
    source: Path


def write_export(out: BinaryIO, label: Label, key: NodeKey, parts: list[Part]) -> None:
    """Write an export of these files, which must not change meanwhile. Raises OSError."""
    head = _pack_label(label)
    out.write(head)
    sink = _Sink(out, key.derive(_PURPOSE), head)
    for part in parts:
        name, size = part.name.encode(), part.source.stat().st_size
        sink.write(_PART.pack(len(name), size) + name)
        with part.source.open("rb") as source:
            while piece := source.read(_CHUNK):
                size -= len(piece)
                sink.write(piece)
        if size:
            raise OSError(f"{part.source} changed while it was read")
    sink.write(_PART.pack(0, 0))
    sink.close()


def read_label(stream: BinaryIO, path: Path) -> Label:
    """Read the label at the front of an export; nothing of it is proven yet. Raises DamagedExport."""
    return _unpack_label(_read_head(stream, path), path)


def read_export(stream: BinaryIO, path: Path, key: NodeKey, folder: Path) -> Label:
    """Unpack an export (from its start) into a folder; the label, which is proven then.

    Raises NotThisNode, DamagedExport; what was unpacked until then is for the caller to throw away.
    """
    head = _read_head(stream, path)
    label = _unpack_label(head, path)
    if label.node != key.node:
        raise NotThisNode(path, label.node, key.node)
    source = _Source(stream, path, key.derive(_PURPOSE), head)
    while True:
        length, size = _PART.unpack(source.take(_PART.size))
        if not length:
            break
        if length > _LONGEST_NAME:
            raise DamagedExport(path, "a name in it is too long")
        place = folder / _safe_name(source.take(length), path)
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            for piece in source.pieces(size):
                out.write(piece)
            out.flush()
            os.fsync(out.fileno())
    source.end()
    return label


class _Sink:
    """Cuts what is written into chunks and encrypts them."""

    def __init__(self, out: BinaryIO, key: bytes, head: bytes) -> None:
        self._out = out
        self._state = crypto_secretstream_xchacha20poly1305_state()
        self._waiting = bytearray()
        self._context: bytes = _digest(head)
        out.write(crypto_secretstream_xchacha20poly1305_init_push(self._state, key))

    def write(self, data: bytes) -> None:
        self._waiting += data
        while len(self._waiting) > _CHUNK:
            self._push(bytes(self._waiting[:_CHUNK]), crypto_secretstream_xchacha20poly1305_TAG_MESSAGE)
            del self._waiting[:_CHUNK]

    def close(self) -> None:
        self._push(bytes(self._waiting), crypto_secretstream_xchacha20poly1305_TAG_FINAL)

    def _push(self, chunk: bytes, tag: int) -> None:
        self._out.write(crypto_secretstream_xchacha20poly1305_push(self._state, chunk, self._context, tag))


class _Source:
    """Decrypts chunk after chunk and hands out exactly as many bytes as are asked for."""

    def __init__(self, stream: BinaryIO, path: Path, key: bytes, head: bytes) -> None:
        self._stream = stream
        self._path = path
        self._state = crypto_secretstream_xchacha20poly1305_state()
        self._context = _digest(head)
        self._waiting = bytearray()
        self._final = False
        header = stream.read(crypto_secretstream_xchacha20poly1305_HEADERBYTES)
        if len(header) != crypto_secretstream_xchacha20poly1305_HEADERBYTES:
            raise DamagedExport(path, "it is cut short")
        crypto_secretstream_xchacha20poly1305_init_pull(self._state, header, key)

    def take(self, count: int) -> bytes:
        while len(self._waiting) < count:
            self._pull()
        taken = bytes(self._waiting[:count])
        del self._waiting[:count]
        return taken

    def pieces(self, count: int) -> Iterator[bytes]:
        while count:
            if not self._waiting:
                self._pull()
            piece = self.take(min(count, len(self._waiting)))
            count -= len(piece)
            yield piece

    def end(self) -> None:
        if not self._final or self._waiting or self._stream.read(1):
            raise DamagedExport(self._path, "there is something behind its end")

    def _pull(self) -> None:
        chunk = b"" if self._final else self._stream.read(_SEALED)
        if len(chunk) <= crypto_secretstream_xchacha20poly1305_ABYTES:
            raise DamagedExport(self._path, "it is cut short")
        try:
            data, tag = crypto_secretstream_xchacha20poly1305_pull(self._state, chunk, self._context)
        except (CryptoError, RuntimeError) as error:
            raise DamagedExport(self._path, "it is cut short or was changed") from error
        self._final = tag == crypto_secretstream_xchacha20poly1305_TAG_FINAL
        self._waiting += data


def _pack_label(label: Label) -> bytes:
    fields = {
        "version": VERSION,
        "role": label.role,
        "node": to_hex(label.node),
        "account": None if label.account is None else to_hex(label.account),
        "taken_at": label.taken_at,
        "keys": label.keys.hex(),
    }
    text = json.dumps(fields).encode()
    return _MAGIC + _LENGTH.pack(len(text)) + text


def _read_head(stream: BinaryIO, path: Path) -> bytes:
    """Read the bytes of the label with what stands before them."""
    start = stream.read(len(_MAGIC) + _LENGTH.size)
    if not start.startswith(_MAGIC):
        raise DamagedExport(path, "it does not begin as one")
    if len(start) != len(_MAGIC) + _LENGTH.size:
        raise DamagedExport(path, "it is cut short")
    (length,) = _LENGTH.unpack(start[len(_MAGIC) :])
    if length > _LONGEST_LABEL:
        raise DamagedExport(path, "its label is too long")
    text = stream.read(length)
    if len(text) != length:
        raise DamagedExport(path, "it is cut short")
    return start + text


def _unpack_label(head: bytes, path: Path) -> Label:
    try:
        fields = from_json(head[len(_MAGIC) + _LENGTH.size :])  # json itself is ended by deep nesting
        version = fields["version"]
        if version != VERSION:
            raise DamagedExport(path, f"it is of version {version}, this program reads version {VERSION}")
        account = fields["account"]
        return Label(
            role=_one_of(fields["role"]),
            node=NodeId(from_hex(fields["node"], 32)),
            account=None if account is None else Address(from_hex(account, 20)),
            taken_at=Timestamp(_whole(fields["taken_at"])),
            keys=bytes.fromhex(fields["keys"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedExport(path, "its label cannot be read") from error


def _one_of(role: Any) -> str:  # noqa: ANN401 - whatever JSON can hold
    if role not in _ROLES:
        raise ValueError("no role")
    return str(role)


def _whole(number: Any) -> int:  # noqa: ANN401 - whatever JSON can hold
    if not isinstance(number, int) or not 0 <= number < 1 << 63:
        raise ValueError("no time")
    return number


def _safe_name(encoded: bytes, path: Path) -> PurePosixPath:
    """Return a relative path that leads nowhere else, whoever wrote it."""
    try:
        name = PurePosixPath(encoded.decode())
    except UnicodeDecodeError as error:
        raise DamagedExport(path, "a name in it is no text") from error
    if name.is_absolute() or not name.parts or any(part.startswith(".") for part in name.parts):
        raise DamagedExport(path, "a name in it leads elsewhere")
    return name


def _digest(head: bytes) -> bytes:
    return blake2b(head, digest_size=32).digest()
