"""The segment cipher opens only what it sealed; the mask is its own inverse and different for everybody."""

import os
from itertools import chain, pairwise

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt

from node.cipher import (
    SEALED_CHUNK_SIZE,
    Mask,
    ciphertext_length,
    ciphertext_span,
    decrypt_chunk,
    decrypt_chunks,
    decrypt_segment,
    encrypt_segment,
)
from node.errors import CorruptChunk, LengthOutOfRange, WrongCiphertextLength
from node.segments import CHUNK_SIZE

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
SEGMENT, OTHER_SEGMENT = b"s" * 32, b"t" * 32
LENGTH = 3 * CHUNK_SIZE + 100
PLAIN = os.urandom(LENGTH)


def chunks(data: bytes) -> list[bytes]:
    return [data[at : at + CHUNK_SIZE] for at in range(0, len(data), CHUNK_SIZE)] or [b""]


def seal(data: bytes, key: bytes = KEY, segment: bytes = SEGMENT) -> bytes:
    return bytes(encrypt_segment(key, segment, chunks(data)))


def unseal(sealed: bytes, length: int = LENGTH, key: bytes = KEY, segment: bytes = SEGMENT) -> bytes:
    return b"".join(decrypt_segment(key, segment, length, sealed))


@pytest.mark.parametrize("length", [0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 2 * CHUNK_SIZE])
def test_decrypting_gives_back_what_was_encrypted(length: int) -> None:
    data = os.urandom(length)
    sealed = seal(data)
    assert len(sealed) == ciphertext_length(length)
    assert unseal(sealed, length) == data


def test_the_format_is_what_the_docstring_says() -> None:
    nonce = bytes(15) + b"\x01" + (3).to_bytes(8, "big")
    last = seal(PLAIN)[3 * SEALED_CHUNK_SIZE :]
    assert crypto_aead_xchacha20poly1305_ietf_decrypt(last, SEGMENT, nonce, KEY) == PLAIN[3 * CHUNK_SIZE :]


def test_one_buffer_serves_segment_after_segment() -> None:
    buffer = bytearray()
    for data in (PLAIN, PLAIN[:10], PLAIN[::-1]):
        view = encrypt_segment(KEY, SEGMENT, chunks(data), buffer)
        assert view.obj is buffer
        assert view == seal(data)
        view.release()
    assert len(buffer) == ciphertext_length(LENGTH)


@given(st.integers(0, ciphertext_length(LENGTH) - 1), st.integers(1, 255))
def test_a_changed_byte_is_named_by_its_chunk(at: int, difference: int) -> None:
    sealed = bytearray(seal(PLAIN))
    sealed[at] ^= difference
    with pytest.raises(CorruptChunk) as fault:
        unseal(bytes(sealed))
    assert fault.value.index == at // SEALED_CHUNK_SIZE
    assert fault.value.segment == SEGMENT


def test_chunks_cannot_change_places() -> None:
    sealed = seal(PLAIN)
    first, second, rest = (
        sealed[:SEALED_CHUNK_SIZE],
        sealed[SEALED_CHUNK_SIZE : 2 * SEALED_CHUNK_SIZE],
        sealed[2 * SEALED_CHUNK_SIZE :],
    )
    with pytest.raises(CorruptChunk):
        unseal(second + first + rest)
    with pytest.raises(CorruptChunk):
        unseal(first + first + rest)


def test_a_segment_cannot_be_cut_off_at_a_chunk_even_by_who_lies_about_its_length() -> None:
    cut = seal(PLAIN)[: 2 * SEALED_CHUNK_SIZE]
    with pytest.raises(WrongCiphertextLength):
        unseal(cut)
    with pytest.raises(CorruptChunk):
        unseal(cut, 2 * CHUNK_SIZE)


def test_a_chunk_cannot_be_appended() -> None:
    sealed = seal(PLAIN[: 2 * CHUNK_SIZE]) + seal(PLAIN[:CHUNK_SIZE])
    with pytest.raises(WrongCiphertextLength):
        unseal(sealed, 2 * CHUNK_SIZE)
    with pytest.raises(CorruptChunk):
        unseal(sealed, 3 * CHUNK_SIZE)


def test_a_chunk_of_another_segment_does_not_open_even_under_the_same_key() -> None:
    with pytest.raises(CorruptChunk):
        unseal(seal(PLAIN, segment=OTHER_SEGMENT))


def test_another_key_opens_nothing() -> None:
    with pytest.raises(CorruptChunk):
        unseal(seal(PLAIN), key=OTHER_KEY)


@pytest.mark.parametrize("length", [0, 15, 16, 100])
def test_junk_is_no_chunk(length: int) -> None:
    with pytest.raises(CorruptChunk):
        decrypt_chunk(KEY, SEGMENT, 0, bytes(length), last=True)


def test_a_chunk_that_is_not_full_may_only_be_the_last() -> None:
    with pytest.raises(LengthOutOfRange):
        encrypt_segment(KEY, SEGMENT, [b"short", b"next"])


@given(st.integers(0, 3), st.integers(1, 4))
def test_a_range_of_chunks_opens_without_the_rest(first: int, count: int) -> None:
    wanted = range(first, min(first + count, 4))
    start, stop = ciphertext_span(LENGTH, wanted)
    part = seal(PLAIN)[start:stop]
    assert (
        b"".join(decrypt_chunks(KEY, SEGMENT, LENGTH, part, first))
        == (PLAIN[first * CHUNK_SIZE : wanted.stop * CHUNK_SIZE])
    )


@pytest.mark.parametrize("cut", [1, SEALED_CHUNK_SIZE - 1])
def test_a_range_that_is_no_whole_chunks_is_refused(cut: int) -> None:
    part = seal(PLAIN)[SEALED_CHUNK_SIZE : 3 * SEALED_CHUNK_SIZE - cut]
    with pytest.raises(WrongCiphertextLength):
        list(decrypt_chunks(KEY, SEGMENT, LENGTH, part, 1))


def test_an_empty_range_or_one_beyond_the_end_is_refused() -> None:
    with pytest.raises(WrongCiphertextLength):
        list(decrypt_chunks(KEY, SEGMENT, LENGTH, b"", 1))
    with pytest.raises(LengthOutOfRange):
        ciphertext_span(LENGTH, range(3, 5))
    with pytest.raises(LengthOutOfRange):
        list(decrypt_chunks(KEY, SEGMENT, LENGTH, b"x", 4))


MASK = Mask(b"m" * 32, SEGMENT, 7, b"f" * 32)


def test_masking_twice_unmasks() -> None:
    masked = MASK.apply(PLAIN)
    assert masked != PLAIN
    assert MASK.apply(masked) == PLAIN


def test_masking_in_place_and_into_a_larger_buffer() -> None:
    shard, larger = bytearray(PLAIN), bytearray(LENGTH + 5)
    assert MASK.apply(shard, shard) == MASK.apply(PLAIN, larger) == MASK.apply(PLAIN)
    assert larger[LENGTH:] == bytes(5)


@given(st.lists(st.integers(0, 5000), max_size=5))
def test_a_shard_can_be_masked_from_any_offset(cuts: list[int]) -> None:
    shard = PLAIN[:5000]
    edges = sorted({0, 5000, *cuts})
    parts = [MASK.apply(shard[start:stop], offset=start) for start, stop in pairwise(edges)]
    assert b"".join(parts) == MASK.apply(shard)


def test_every_input_of_the_mask_changes_all_of_it() -> None:
    others = [
        Mask(b"M" * 32, SEGMENT, 7, b"f" * 32),
        Mask(b"m" * 32, OTHER_SEGMENT, 7, b"f" * 32),
        Mask(b"m" * 32, SEGMENT, 8, b"f" * 32),
        Mask(b"m" * 32, SEGMENT, 7, b"g" * 32),
    ]
    streams = [bytes(mask.apply(bytes(64))) for mask in [MASK, *others]]
    blocks = list(
        chain.from_iterable((stream[at : at + 16] for at in range(0, 64, 16)) for stream in streams)
    )
    assert len(set(blocks)) == len(blocks)


def test_the_mask_key_is_not_shown() -> None:
    assert b"mmm".decode() not in repr(MASK)


def test_the_mask_is_aes_256_in_counter_mode() -> None:
    stream = Cipher(algorithms.AES256(MASK._key()), modes.CTR(bytes(16))).encryptor()
    assert MASK.apply(PLAIN) == stream.update(PLAIN)
