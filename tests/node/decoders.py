"""Every decoder of what comes from a peer, or from a file that somebody else may have written.

As a program it feeds them bodies that were made to hurt, in a process whose memory and processor time are
limited; it fails where one of them raises anything but the errors that it names.
"""

import resource
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import shake_256
from io import BytesIO
from pathlib import Path
from typing import Final

from node import errors, messages, watch_messages
from node.cipher import decrypt_chunk, encrypt_chunk
from node.export import Label, Part, read_export, read_label, write_export
from node.identity import NodeKey
from node.manifest import File, Segment, Shard, decode_manifest, encode_manifest, open_manifest, seal_manifest
from node.master_key import MasterKey, open_master_key
from node.merkle import Tree, build_tree
from node.messages import Bounded, SignedRecordMessage, dump, parse
from node.node_record import NodeRecord, sign_record, verify_record
from node.shelf import open_entry, seal_entry
from payments.types import Address, NodeId, Timestamp
from tests.node.support import DAY, NOW

KEY: Final = NodeKey(bytes(range(32)))
MASTER: Final = MasterKey(bytes(32))
ENTRY: Final = b"e" * 16
SOMEWHERE: Final = Path("backup.tithe")
PEERS: Final = {messages.__name__, watch_messages.__name__}
MIB: Final = 2**20
MEMORY: Final = 128 * MIB
"""Bytes that all decoders together may take beyond their imports."""
SECONDS: Final = 60
"""Of the processor, for all bodies and decoders."""


@dataclass(frozen=True)
class Decoder:
    """Reads bytes or raises what it names. sample: bytes that it reads. limit: the most it is given."""

    name: str
    read: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...]
    sample: bytes = b"{}"
    limit: int = 64 * 1024

    def is_read(self, data: bytes) -> bool:
        """Whether it reads these; anything but a read or its own refusal comes through."""
        try:
            self.read(data)
        except self.refusals:
            return False
        return True


def kinds(base: type[Bounded] = Bounded) -> Iterator[type[Bounded]]:
    """All messages of peers; those between a farmer and its owner are not among them."""
    for kind in base.__subclasses__():
        if kind.__module__ in PEERS and kind.__name__.isidentifier() and not kind.__subclasses__():
            yield kind
        yield from kinds(kind)


def _record(data: bytes) -> object:
    return verify_record(parse(SignedRecordMessage, data).core(), NOW)


def _export(data: bytes) -> object:
    with tempfile.TemporaryDirectory() as folder:
        return read_export(BytesIO(data), SOMEWHERE, KEY, Path(folder))


def _exported() -> bytes:
    out = BytesIO()
    with tempfile.NamedTemporaryFile() as file:
        file.write(bytes(1000))
        file.flush()
        label = Label("renter", KEY.node, None, Timestamp(NOW))
        write_export(out, label, KEY, [Part("renter/x/money.db", Path(file.name))])
    return out.getvalue()


def _manifest() -> File:
    shards = tuple(
        Shard(index, NodeId(bytes([index]) * 32), bytes([index]) * 32, bytes(32)) for index in range(3)
    )
    segment = Segment(bytes(32), MASTER.wrap(bytes(32), bytes(32), bytes(24)), 5, 2, 3, shards)
    return File("name", 5, bytes(32), Timestamp(NOW), (segment,))


_RECORD = NodeRecord(KEY.node, Address(bytes(20)), ("http://127.0.0.1:1",), 1, Timestamp(NOW + DAY))
OTHERS: Final = (
    Decoder("manifest", decode_manifest, (errors.MalformedManifest,), encode_manifest(_manifest()), MIB),
    Decoder(
        "sealed manifest",
        lambda data: open_manifest(data, MASTER),
        (errors.WrongMasterKey, errors.MalformedManifest),
        seal_manifest(_manifest(), MASTER, bytes(24)),
        MIB,
    ),
    Decoder(
        "master key",
        lambda data: open_master_key(data, "passphrase"),
        (errors.CorruptKeyFile, errors.WrongPassphrase),
    ),
    Decoder(
        "export's label",
        lambda data: read_label(BytesIO(data), SOMEWHERE),
        (errors.DamagedExport,),
        _exported(),
        MIB,
    ),
    Decoder("export", _export, (errors.DamagedExport, errors.NotThisNode), _exported(), MIB),
    Decoder(
        "shelf entry",
        lambda data: open_entry(KEY, ENTRY, 1, data),
        (errors.CorruptEntry,),
        seal_entry(KEY, ENTRY, 1, {"name": "file"}),
        MIB,
    ),
    Decoder("tree", Tree.from_bytes, (errors.CorruptTree,), build_tree(bytes(5000)).to_bytes(), MIB),
    Decoder(
        "chunk",
        lambda data: decrypt_chunk(bytes(32), bytes(32), 0, data, last=True),
        (errors.CorruptChunk,),
        encrypt_chunk(bytes(32), bytes(32), 0, b"plain", last=True),
    ),
    Decoder(
        "node record",
        _record,
        (errors.MalformedMessage, errors.RecordOutOfBounds, errors.ForgedRecord, errors.ExpiredRecord),
        dump(SignedRecordMessage.of(sign_record(_RECORD, KEY))),
    ),
)


def _message(kind: type[Bounded]) -> Decoder:
    return Decoder(kind.__name__, partial(parse, kind), (errors.MalformedMessage,), limit=kind.limit)


MESSAGES: Final = tuple(map(_message, sorted(set(kinds()), key=lambda kind: kind.__name__)))


def hostile(limit: int) -> Iterator[bytes]:
    """Bodies of nearly `limit` bytes: nested deeply, of huge numbers, counts, names, repeated keys."""
    yield b"[" * limit
    yield b'{"a":' * (limit // 5)
    yield b"9" * limit
    yield b'{"amount":' + b"9" * (limit - 11) + b"}"
    yield b'"' + b"a" * (limit - 2) + b'"'
    yield b'{"' + b"k" * (limit - 6) + b'":1}'
    yield b"[" + b"0," * (limit // 2 - 2) + b"0]"
    yield b"{" + b'"a":0,' * (limit // 6 - 2) + b'"a":0}'
    yield b'{"sealed":"0x' + b"00" * (limit // 2 - 8) + b'"}'
    yield b"tithemf1" + b"\xff" * limit
    yield b"tithemf1\0\1a" + bytes(48) + b"\xff" * 4 + bytes(limit)
    yield b"tithetr1" + b"\xff" * limit
    yield b"tithetr1" + (2**63).to_bytes(8, "big") + bytes(limit)
    yield b"tithemk1" + b"\xff" * limit
    for text in (b"[" * (limit - 12), b'{"version":' + b"9" * (limit - 24) + b"}", b'{"version":1}'):
        yield b"tithebk1" + len(text).to_bytes(4, "big") + text
    yield b"tithebk1" + b"\xff" * limit
    yield shake_256(b"noise").digest(limit)


def main() -> None:
    """Feed all to all, within limits."""
    for what, most in ((resource.RLIMIT_DATA, _data() + MEMORY), (resource.RLIMIT_CPU, _cpu() + SECONDS)):
        resource.setrlimit(what, (most, most))
    for decoder in (*OTHERS, *MESSAGES):
        for body in hostile(decoder.limit):
            if decoder.is_read(body):
                sys.exit(f"{decoder.name} reads {body[:40]!r}")


def _data() -> int:
    """Bytes of data this process has now."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmData:")) * 1024


def _cpu() -> int:
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return int(spent.ru_utime + spent.ru_stime)


if __name__ == "__main__":
    main()
