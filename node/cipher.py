"""The two layers of secrecy over what a renter stores: the segment cipher and the shard mask.

Cipher: a segment has its own random key and is encrypted chunk by chunk with XChaCha20-Poly1305 (PyNaCl).
The nonce says which chunk it is and whether it is the last one, the associated data is the segment's id, so
a chunk that is altered, moved, cut off or taken from another segment does not open. The nonces count,
therefore a key encrypts one plaintext only: a file that is read again gets a new key.

Mask: each shard is XORed with a keystream of its own (AES-256-CTR), made from mask key, segment, shard
index and farmer. Without it one operator behind many identities would store k shards, compute the others on
demand and be paid for all. Masking twice unmasks. The mask key says nothing about encryption keys; a
repairer may hold it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from struct import pack

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError

from node.errors import CorruptChunk, WrongCiphertextLength
from node.segments import CHUNK_SIZE, Buffer, check_length, chunk_count, chunk_length

KEY_SIZE = 32
SEGMENT_ID_SIZE = 32
TAG_SIZE = 16
SEALED_CHUNK_SIZE = CHUNK_SIZE + TAG_SIZE

_AES_BLOCK = 16


def ciphertext_length(length: int) -> int:
    """Return the encrypted length of a segment of `length` plaintext bytes: 16 more for each chunk."""
    return length + TAG_SIZE * chunk_count(length)


def plaintext_length(length: int) -> int:
    """Return the plaintext length of a segment of `length` encrypted bytes."""
    return length - TAG_SIZE * -(-length // SEALED_CHUNK_SIZE)


def encrypt_chunk(key: bytes, segment: bytes, index: int, chunk: bytes, *, last: bool) -> bytes:
    """Encrypt one chunk of the segment with this id: the plaintext's bytes, then 16 bytes of tag."""
    return crypto_aead_xchacha20poly1305_ietf_encrypt(chunk, segment, _nonce(index, last=last), key)


def decrypt_chunk(key: bytes, segment: bytes, index: int, sealed: bytes, *, last: bool) -> bytes:
    """Decrypt one chunk. Raises CorruptChunk unless key, segment, index, flag and bytes are right."""
    if len(sealed) < TAG_SIZE:
        raise CorruptChunk(segment, index)
    try:
        return crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, segment, _nonce(index, last=last), key)
    except CryptoError as error:
        raise CorruptChunk(segment, index) from error


def encrypt_segment(
    key: bytes, segment: bytes, chunks: Iterable[bytes], into: bytearray | None = None
) -> memoryview:
    """Encrypt the chunks of one segment (at least one, all but the last full) into one buffer.

    Returns the ciphertext as a view of `into`, which grows where it is too small and can be used again for
    the next segment once the view is released: memory the kernel has to hand out anew costs more than the
    cipher.
    """
    sealed = bytearray() if into is None else into
    end = 0
    for index, chunk, last in _with_last(chunks):
        check_length("chunk", len(chunk), 0 if last else CHUNK_SIZE, CHUNK_SIZE)
        part = encrypt_chunk(key, segment, index, chunk, last=last)
        sealed[end : end + len(part)] = part
        end += len(part)
    return memoryview(sealed)[:end]


def decrypt_chunks(
    key: bytes, segment: bytes, length: int, ciphertext: Buffer, first: int = 0
) -> Iterator[bytes]:
    """Yield the plaintext of consecutive chunks of a segment of `length` bytes, from chunk `first` on.

    `ciphertext` starts at that chunk and holds whole chunks (see ciphertext_span). Raises
    WrongCiphertextLength before the first chunk is out, CorruptChunk at the chunk that does not open.
    """
    count = chunk_count(length)
    sealed = memoryview(ciphertext)
    here = max(1, -(-len(sealed) // SEALED_CHUNK_SIZE))
    start, stop = ciphertext_span(length, range(first, min(first + here, count)))
    if len(sealed) != stop - start:
        raise WrongCiphertextLength(segment, len(sealed), stop - start)
    for index in range(first, first + here):
        at = (index - first) * SEALED_CHUNK_SIZE
        part = bytes(sealed[at : at + SEALED_CHUNK_SIZE])
        yield decrypt_chunk(key, segment, index, part, last=index == count - 1)


def decrypt_segment(key: bytes, segment: bytes, length: int, ciphertext: Buffer) -> Iterator[bytes]:
    """Yield the plaintext of a whole segment chunk by chunk. Raises as decrypt_chunks does."""
    expected = ciphertext_length(length)
    if len(ciphertext) != expected:
        raise WrongCiphertextLength(segment, len(ciphertext), expected)
    return decrypt_chunks(key, segment, length, ciphertext)


def ciphertext_span(length: int, chunks: range) -> tuple[int, int]:
    """Return where these chunks start and stop in the ciphertext of a segment of `length` bytes."""
    check_length("first chunk", chunks.start, 0, chunk_count(length) - 1)
    check_length("chunk range", chunks.stop, chunks.start + 1, chunk_count(length))
    last = chunks.stop - 1
    return chunks.start * SEALED_CHUNK_SIZE, last * SEALED_CHUNK_SIZE + chunk_length(length, last) + TAG_SIZE


@dataclass(frozen=True, slots=True)
class Mask:
    """The keystream of one shard at one farmer. `apply` masks and unmasks."""

    mask_key: bytes = field(repr=False)
    segment: bytes
    index: int
    farmer: bytes

    def apply(self, shard: Buffer, into: bytearray | memoryview | None = None, offset: int = 0) -> memoryview:
        """XOR `shard`, whose first byte is byte `offset` of the whole shard, with the keystream.

        Returns a view of `into`, at least as long as the shard and possibly the shard itself; by default of
        a new buffer. Releases the GIL while it works.
        """
        target = memoryview(bytearray(len(shard)) if into is None else into)[: len(shard)]
        skipped = offset % _AES_BLOCK
        counter = (offset // _AES_BLOCK).to_bytes(_AES_BLOCK, "big")
        stream = Cipher(algorithms.AES256(self._key()), modes.CTR(counter)).encryptor()
        stream.update(bytes(skipped))
        stream.update_into(shard, target)
        return target

    def _key(self) -> bytes:
        data = self.segment + pack(">I", self.index) + self.farmer
        return blake2b(data, digest_size=KEY_SIZE, key=self.mask_key, person=b"tithe shard mask").digest()


def _nonce(index: int, *, last: bool) -> bytes:
    return pack(">15x?Q", last, index)


def _with_last(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes, bool]]:
    """Number the chunks and say of each whether it is the last."""
    index = 0
    iterator = iter(chunks)
    chunk = next(iterator)
    for ahead in iterator:
        yield index, chunk, False
        index, chunk = index + 1, ahead
    yield index, chunk, True
