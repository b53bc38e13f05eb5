"""Sealing: the segments of a file, read one after another, encrypted and encoded, ready to be masked.

Off the event loop and, but for a few lines, without the GIL. The memory of a segment and its parity is used
again for a later one: what the kernel has to hand out anew costs more than the cipher.
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from node.cipher import KEY_SIZE, SEGMENT_ID_SIZE, encrypt_segment, plaintext_length
from node.erasure import Codec
from node.master_key import NONCE_SIZE, MasterKey


@dataclass(frozen=True, slots=True)
class Sealed:
    """An encrypted segment: its id, wrapped key, plaintext length and its shards by index, unmasked.

    prefix: SHA-256 of what had been read of the file when its last chunk was: that is up to its end, and
    where another segment follows to the end of that one's first chunk.
    """

    number: int
    id: bytes
    wrapped_key: bytes
    length: int
    shards: Sequence[memoryview] | Mapping[int, memoryview]
    prefix: bytes = b""


@dataclass(slots=True)
class Buffers:
    """The memory of one segment on its way: its ciphertext and its parity."""

    ciphertext: bytearray = field(default_factory=bytearray)
    parity: bytearray = field(default_factory=bytearray)


class Sealer:
    """Seals the segments of one file, each under a key of its own.

    digest: gives the SHA-256 of what was read so far.
    """

    def __init__(
        self,
        master: MasterKey,
        codec: Codec,
        segments: Iterator[Iterator[bytes]],
        digest: Callable[[], bytes],
    ) -> None:
        self._master = master
        self._codec = codec
        self._segments = segments
        self._digest = digest
        self._turn = asyncio.Lock()
        self._count = 0

    async def seal(self, buffers: Buffers) -> Sealed | None:
        """Seal the next segment in this memory; None after the last. Raises OSError."""
        async with self._turn:
            return await asyncio.to_thread(self._seal, buffers)

    def _seal(self, buffers: Buffers) -> Sealed | None:
        chunks = next(self._segments, None)
        if chunks is None:
            return None
        key, segment = os.urandom(KEY_SIZE), os.urandom(SEGMENT_ID_SIZE)
        sealed = encrypt_segment(key, segment, chunks, buffers.ciphertext)
        number, self._count = self._count, self._count + 1
        return Sealed(
            number=number,
            id=segment,
            wrapped_key=self._master.wrap(segment, key, os.urandom(NONCE_SIZE)),
            length=plaintext_length(len(sealed)),
            shards=self._codec.encode(sealed, buffers.parity),
            prefix=self._digest(),
        )
