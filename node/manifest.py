"""A manifest: all that it takes, beside the master key, to read a file back: segments, keys, who has what.

A File, a Segment and a Shard that exist are consistent: the constructors refuse anything else. The encoding
is canonical, so equal manifests are equal bytes, and the decoder accepts no other bytes. Lengths that
follow from others (ciphertext, shard, leaves) are computed, not stored. Manifests are sealed under the
master key.
"""

from dataclasses import dataclass
from struct import Struct
from typing import Any

from node.cipher import SEGMENT_ID_SIZE, ciphertext_length
from node.erasure import MAX_SHARDS, shard_length
from node.errors import MalformedManifest
from node.master_key import WRAPPED_KEY_SIZE, MasterKey
from node.merkle import leaf_count
from node.segments import SEGMENT_SIZE
from payments.types import NodeId, Timestamp

MAX_NAME = 4096
_ID_SIZE = 32
_MAX_64 = 2**64 - 1
_PURPOSE = "manifest"
_MAGIC = b"tithemf1"
_NAME = Struct(">H")
_FILE = Struct(">Q32sQI")
_SEGMENT = Struct(f">{SEGMENT_ID_SIZE}s{WRAPPED_KEY_SIZE}sIHHH")
_SHARD = Struct(">B32s32s32s")


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard of a segment at one farmer, under one agreement."""

    index: int
    farmer: NodeId
    agreement: bytes
    data_root: bytes

    def __post_init__(self) -> None:
        """Raise MalformedManifest unless ids are 32 bytes and the index is one of a code."""
        _check(0 <= self.index < MAX_SHARDS, f"shard index {self.index}")
        for name, value in (("farmer", self.farmer), ("agreement", self.agreement), ("root", self.data_root)):
            _check(len(value) == _ID_SIZE, f"{name} of {len(value)} bytes in shard {self.index}")


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment: its wrapped key, its code, and where its shards are, in order of their index.

    There may be fewer than n shards: those that nobody has are left out.
    """

    id: bytes
    wrapped_key: bytes
    plaintext_length: int
    k: int
    n: int
    shards: tuple[Shard, ...]

    def __post_init__(self) -> None:
        """Raise MalformedManifest unless the fields fit each other and no farmer has two shards."""
        _check(len(self.id) == SEGMENT_ID_SIZE, f"segment id of {len(self.id)} bytes")
        _check(len(self.wrapped_key) == WRAPPED_KEY_SIZE, f"wrapped key of {len(self.wrapped_key)} bytes")
        _check(0 <= self.plaintext_length <= SEGMENT_SIZE, f"segment of {self.plaintext_length} bytes")
        _check(1 <= self.k <= self.n <= MAX_SHARDS, f"code of {self.k} of {self.n}")
        indices = [shard.index for shard in self.shards]
        _check(indices == sorted(set(indices)), "shards out of order")
        _check(all(index < self.n for index in indices), f"a shard beyond the code's {self.n}")
        _check(len({shard.farmer for shard in self.shards}) == len(indices), "two shards at one farmer")

    @property
    def ciphertext_length(self) -> int:
        """Bytes of the encrypted segment."""
        return ciphertext_length(self.plaintext_length)

    @property
    def shard_length(self) -> int:
        """Bytes of each shard."""
        return shard_length(self.ciphertext_length, self.k)

    @property
    def leaf_count(self) -> int:
        """Merkle leaves of each shard."""
        return leaf_count(self.shard_length)


@dataclass(frozen=True, slots=True)
class File:
    """One file: name, size in bytes, SHA-256 of its plaintext, when it was stored, segments in order."""

    name: str
    size: int
    sha256: bytes
    created: Timestamp
    segments: tuple[Segment, ...]

    def __post_init__(self) -> None:
        """Raise MalformedManifest unless the segments make up a file of this size."""
        _check(0 < len(_encode_name(self.name)) <= MAX_NAME, "name too short or too long")
        _check("\0" not in self.name, "a zero byte in the name")
        _check(len(self.sha256) == _ID_SIZE, f"SHA-256 of {len(self.sha256)} bytes")
        _check(0 <= self.size <= _MAX_64, f"size {self.size}")
        _check(0 <= self.created <= _MAX_64, f"time {self.created}")
        lengths = tuple(segment.plaintext_length for segment in self.segments)
        _check(bool(lengths), "no segments")
        _check(sum(lengths) == self.size, f"segments of {sum(lengths)} bytes in a file of {self.size}")
        _check(all(length == lengths[0] for length in lengths[:-1]), "segments of uneven length")
        _check(len(lengths) == 1 or 0 < lengths[-1] <= lengths[0], "a last segment that is no rest")
        ids = {segment.id for segment in self.segments}
        _check(len(ids) == len(lengths), "two segments with one id")
        agreements = [shard.agreement for segment in self.segments for shard in segment.shards]
        _check(len(set(agreements)) == len(agreements), "two shards under one agreement")


def encode_manifest(file: File) -> bytes:
    """Return the canonical encoding: big-endian fields as the dataclasses order them, counts before lists."""
    name = _encode_name(file.name)
    parts = [_MAGIC, _NAME.pack(len(name)), name]
    parts.append(_FILE.pack(file.size, file.sha256, file.created, len(file.segments)))
    for segment in file.segments:
        sizes = (segment.plaintext_length, segment.k, segment.n, len(segment.shards))
        parts.append(_SEGMENT.pack(segment.id, segment.wrapped_key, *sizes))
        parts += [_SHARD.pack(s.index, s.farmer, s.agreement, s.data_root) for s in segment.shards]
    return b"".join(parts)


def decode_manifest(encoded: bytes) -> File:
    """Return the file that encodes to exactly these bytes. Raises MalformedManifest for anything else."""
    reader = _Reader(encoded)
    _check(reader.take(len(_MAGIC)) == _MAGIC, "it does not begin as one of version 1")
    (name_length,) = reader.unpack(_NAME)
    name = _decode_name(reader.take(name_length))
    size, sha256, created, count = reader.unpack(_FILE)
    segments = tuple(_read_segment(reader) for _ in range(count))
    _check(reader.done, "bytes after its end")
    return File(name, size, sha256, created, segments)


def seal_manifest(file: File, master: MasterKey, nonce: bytes) -> bytes:
    """Encode and encrypt a manifest; `nonce` is 24 random bytes, never used twice."""
    return master.seal(_PURPOSE, b"", encode_manifest(file), nonce)


def open_manifest(sealed: bytes, master: MasterKey) -> File:
    """Decrypt and decode a manifest. Raises WrongMasterKey, MalformedManifest."""
    return decode_manifest(master.open(_PURPOSE, b"", sealed))


class _Reader:
    """Bytes taken from the front; running out of them is a malformed manifest."""

    def __init__(self, encoded: bytes) -> None:
        self._encoded = encoded
        self._at = 0

    @property
    def done(self) -> bool:
        return self._at == len(self._encoded)

    def take(self, size: int) -> bytes:
        part = self._encoded[self._at : self._at + size]
        _check(len(part) == size, "it is cut short")
        self._at += size
        return part

    def unpack(self, layout: Struct) -> tuple[Any, ...]:
        return layout.unpack(self.take(layout.size))


def _read_segment(reader: _Reader) -> Segment:
    segment, wrapped_key, length, k, n, count = reader.unpack(_SEGMENT)
    shards = tuple(Shard(*reader.unpack(_SHARD)) for _ in range(count))
    return Segment(segment, wrapped_key, length, k, n, shards)


def _encode_name(name: str) -> bytes:
    try:
        return name.encode()
    except UnicodeEncodeError as error:
        raise MalformedManifest("the name is not Unicode text") from error


def _decode_name(encoded: bytes) -> str:
    try:
        return encoded.decode()
    except UnicodeDecodeError as error:
        raise MalformedManifest("the name is not UTF-8") from error


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise MalformedManifest(otherwise)
