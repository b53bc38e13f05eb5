"""A segment's whole path: chunks, ciphertext, shards, masks, and back from what k farmers still have."""

import io
import os

from node.cipher import Mask, decrypt_segment, encrypt_segment
from node.erasure import Codec
from node.master_key import MasterKey
from node.segments import read_segments, segment_lengths

MASTER = MasterKey(b"m" * 32)
CODEC = Codec(4, 12)


def mask(segment: bytes, index: int) -> Mask:
    return Mask(MASTER.mask_key, segment, index, bytes([index]) * 32)


def test_a_file_comes_back_from_any_k_masked_shards_of_each_segment() -> None:
    data = os.urandom(150_000)
    back = b""
    chunks = read_segments(io.BytesIO(data), 100_000)
    for number, (length, segment_chunks) in enumerate(
        zip(segment_lengths(len(data), 100_000), chunks, strict=True)
    ):
        key, segment = os.urandom(32), os.urandom(32)
        sealed = encrypt_segment(key, segment, segment_chunks)
        stored = [mask(segment, at).apply(shard) for at, shard in enumerate(CODEC.encode(sealed))]
        kept = {at: mask(segment, at).apply(stored[at]) for at in (3, 5, 8, 11 - number)}
        back += b"".join(decrypt_segment(key, segment, length, CODEC.decode(kept, len(sealed))))
    assert back == data


def test_k_stored_shards_do_not_give_away_the_others() -> None:
    segment = b"s" * 32
    stored = [mask(segment, at).apply(shard) for at, shard in enumerate(CODEC.encode(os.urandom(40_000)))]
    guessed = CODEC.rebuild(dict(enumerate(stored[:4])), range(4, 12))
    assert all(guess != real for guess, real in zip(guessed, stored[4:], strict=True))
