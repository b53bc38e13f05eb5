"""The stages of a put and a get, each alone on one core, in turn with what the hardware or a library allows.

Rates are megabytes (10**6) of what the stage is given, the median of all rounds: a second of the processor,
and of the clock where disk or sockets have a part. Both ends of a socket are in this process.
"""

import asyncio
import ctypes
import os
import socket
import statistics
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import files
from pathlib import Path
from typing import Final

import zfec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from nacl._sodium import ffi, lib  # type: ignore[import-not-found]  # it has no types
from starlette.types import Receive, Scope, Send

from node.api.limits import Limits
from node.api.server import HttpServer
from node.cipher import Mask, decrypt_segment, encrypt_segment
from node.erasure import Codec, shard_length
from node.identity import NodeKey
from node.merkle import build_tree
from node.messages import ShelfPlace, dump
from node.segments import CHUNK_SIZE
from node.shard_store import ShardStore
from node.transport import Target, Transport

K, N = 29, 80
SIZE: Final = 16 * 2**20
SHARD: Final = 64 * 2**20 // K
PIECE: Final = 2**18
STRIP: Final = 8 * 2**10
"""Bytes of a row that ISA-L is given at once: what is in work stays in the second cache."""
MEGABYTE: Final = 10**6
Work = Callable[[], object]


@dataclass(frozen=True)
class Stage:
    """A stage and its limit: what each does to `size` bytes, and its seconds in every round."""

    name: str
    limit: str
    size: int
    ours: list[float]
    most: list[float]

    @property
    def rates(self) -> tuple[float, float]:
        """Megabytes a second, ours and the limit's."""
        ours, most = (self.size / statistics.median(taken) / MEGABYTE for taken in (self.ours, self.most))
        return ours, most


@dataclass(frozen=True)
class Race:
    """Two ways to do the same to `size` bytes. clock: what counts their seconds."""

    name: str
    limit: str
    size: int
    ours: Work
    most: Work
    clock: Callable[[], float] = time.process_time

    def run(self, rounds: int) -> Stage:
        """Run them in turn."""
        times: tuple[list[float], list[float]] = ([], [])
        for work in (self.ours, self.most):
            work()
        for _ in range(rounds):
            for work, taken in zip((self.ours, self.most), times, strict=True):
                start = self.clock()
                work()
                taken.append(self.clock() - start)
        return Stage(self.name, self.limit, self.size, *times)


def measure(folder: Path, rounds: int) -> list[Stage]:
    """Measure all stages; `folder` is on the disk in question."""
    races = [*_ciphers(), *_codecs(), *_hashes(), *_disks(folder)]
    return [race.run(rounds) for race in races] + asyncio.run(_sockets(rounds))


def _ciphers() -> Iterator[Race]:
    key, segment, plain = os.urandom(32), os.urandom(32), os.urandom(SIZE)
    chunks = [plain[at : at + CHUNK_SIZE] for at in range(0, SIZE, CHUNK_SIZE)]
    buffer, sealed, nonce = bytearray(), bytes(encrypt_segment(key, segment, chunks)), bytes(24)
    out, length = ffi.new("unsigned char[]", CHUNK_SIZE + 16), ffi.new("unsigned long long *")
    seal, unseal = (
        lib.crypto_aead_xchacha20poly1305_ietf_encrypt,
        lib.crypto_aead_xchacha20poly1305_ietf_decrypt,
    )
    seal(out, length, chunks[0], CHUNK_SIZE, segment, 32, ffi.NULL, nonce, key)
    one = bytes(ffi.buffer(out, CHUNK_SIZE + 16))

    def encrypt_bare() -> None:
        for chunk in chunks:
            seal(out, length, chunk, CHUNK_SIZE, segment, 32, ffi.NULL, nonce, key)

    def decrypt_bare() -> None:
        for _ in chunks:
            unseal(out, length, ffi.NULL, one, len(one), segment, 32, nonce, key)

    def decrypt() -> None:
        for _ in decrypt_segment(key, segment, SIZE, sealed):
            pass

    yield Race(
        "encrypt", "libsodium", SIZE, lambda: encrypt_segment(key, segment, chunks, buffer), encrypt_bare
    )
    yield Race("decrypt", "libsodium", SIZE, decrypt, decrypt_bare)


def _codecs() -> Iterator[Race]:
    """Encode, and decode where every data shard that can be lost is."""
    data, codec, parity, whole = os.urandom(SIZE), Codec(K, N), bytearray(), bytearray()
    shards = [bytes(shard) for shard in codec.encode(data)]
    worst = dict(list(enumerate(shards))[-K:])
    each = shard_length(SIZE, K)
    encode, plain = _bare_isal(shards[:K], N - K), Codec(K, N, plain=True)
    decode = _bare_isal(shards[-K:], K)
    name = f"{K} of {N}"
    yield Race(f"encode {name}", "ISA-L", SIZE, lambda: codec.encode(data, parity), encode)
    yield Race(f"decode {name}", "ISA-L", SIZE, lambda: codec.decode(worst, SIZE, whole), decode)
    yield Race(f"encode {name}", "zfec", SIZE, lambda: codec.encode(data, parity), lambda: plain.encode(data))
    old = zfec.Decoder(K, N)
    yield Race(
        f"decode {name}",
        "zfec",
        each * K,
        lambda: codec.decode(worst, SIZE, whole),
        lambda: old.decode(list(worst.values()), list(worst)),
    )


def _bare_isal(sources: Sequence[bytes], rows: int) -> Work:
    """ISA-L's product of a matrix and the sources, strip by strip, and nothing else."""
    found = next(file for file in files("pyeclib") or () if file.name.startswith("libisal"))
    library = ctypes.CDLL(str(found.locate()))
    columns, length = len(sources), len(sources[0])
    tables = ctypes.create_string_buffer(32 * rows * columns)
    library.ec_init_tables(columns, rows, os.urandom(rows * columns), tables)
    stride = length + 64 - length % 64 + 64  # rows a power of two apart would share cache sets
    targets = ctypes.create_string_buffer(rows * stride)
    calls = []
    for at in range(0, length, STRIP):
        given = [ctypes.cast(ctypes.c_char_p(one), ctypes.c_void_p).value or 0 for one in sources]
        read = (ctypes.c_void_p * columns)(*(one + at for one in given))
        written = (ctypes.c_void_p * rows)(
            *(ctypes.addressof(targets) + row * stride + at for row in range(rows))
        )
        calls.append((min(STRIP, length - at), read, written))

    def work(_keep: object = (sources, targets)) -> None:
        for size, read, written in calls:
            library.ec_encode_data(size, columns, rows, tables, read, written)

    return work


def _hashes() -> Iterator[Race]:
    shard, key = os.urandom(SHARD), os.urandom(32)
    into = bytearray(SHARD)
    mask = Mask(key, key, 0, key)

    def keystream() -> None:
        Cipher(algorithms.AES256(key), modes.CTR(bytes(16))).encryptor().update_into(shard, into)

    yield Race("data root", "SHA-256", SHARD, lambda: build_tree(shard), lambda: sha256(shard).digest())
    yield Race("mask", "AES-256-CTR", SHARD, lambda: mask.apply(shard, into), keystream)


def _disks(folder: Path) -> Iterator[Race]:
    """A shard that becomes durable in the store, its root computed; a file that is written and synced."""
    shard = os.urandom(SHARD)
    store = ShardStore(folder / "store")
    store.prepare()

    def keep() -> None:
        name = os.urandom(32)
        incoming = store.receive()
        for at in range(0, SHARD, PIECE):
            incoming.write(shard[at : at + PIECE])
        incoming.keep(name, incoming.finish())
        store.delete(name)

    def write() -> None:
        path = folder / "bare"
        with path.open("wb") as file:
            file.write(shard)
            file.flush()
            os.fsync(file.fileno())
        path.unlink()

    yield Race("store a shard", "write and fsync", SHARD, keep, write, time.perf_counter)


async def _sockets(rounds: int) -> list[Stage]:
    """A shard through our client and server, both ways; the same bytes through a bare loopback connection."""
    shard = os.urandom(SHARD)
    async with _server(shard) as (transport, target):

        async def upload() -> None:
            await transport.upload(
                target, "/shard", memoryview(shard), data_root=bytes(32), answer=ShelfPlace
            )

        async def read() -> None:
            await transport.read(target, "/read", PLACE, SHARD)

        times: dict[str, list[float]] = {"send a shard": [], "receive a shard": [], "loopback": []}
        for _ in range(rounds + 1):
            for name, work in (("send a shard", upload), ("receive a shard", read)):
                start = time.perf_counter()
                await work()
                times[name].append(time.perf_counter() - start)
            times["loopback"].append(await asyncio.to_thread(_loopback, shard))
    most = times.pop("loopback")[1:]
    return [Stage(name, "TCP on loopback", SHARD, taken[1:], most) for name, taken in times.items()]


PLACE: Final = ShelfPlace(entry=bytes(16), version=1)


@asynccontextmanager
async def _server(shard: bytes) -> AsyncIterator[tuple[Transport, Target]]:
    """Our HTTP server and client around an application that does nothing."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        body = shard if scope["path"] == "/read" else dump(PLACE)
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for at in range(0, len(body), PIECE):
            piece = {"type": "http.response.body", "body": body[at : at + PIECE], "more_body": True}
            await send(piece)
        await send({"type": "http.response.body"})

    server = HttpServer("127.0.0.1", 0, Limits())
    await server.start(app)
    key = NodeKey(os.urandom(32))
    try:
        async with Transport(key, lambda: int(time.time())) as transport:
            yield transport, Target(key.node, (server.url,))
    finally:
        await server.stop()


def _loopback(data: bytes) -> float:
    """Seconds for these bytes through a TCP connection of this machine."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as sending,
        listening.accept()[0] as receiving,
    ):
        start = time.perf_counter()
        sender = threading.Thread(target=sending.sendall, args=(data,))
        sender.start()
        buffer, left = bytearray(PIECE), len(data)
        while left:
            left -= receiving.recv_into(buffer)
        sender.join()
        return time.perf_counter() - start
