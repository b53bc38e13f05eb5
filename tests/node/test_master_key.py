"""The master key wraps, seals and yields; its file opens with its passphrase only."""

import stat
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from node.errors import AlreadyThere, CorruptKeyFile, WrongMasterKey, WrongPassphrase
from node.key_file import create_master_key, load_master_key
from node.master_key import (
    LEAST_COST,
    WRAPPED_KEY_SIZE,
    Cost,
    MasterKey,
    open_master_key,
    seal_master_key,
)

MASTER, OTHER = MasterKey(bytes(range(32))), MasterKey(bytes(range(1, 33)))
SEGMENT, KEY, NONCE = b"s" * 32, b"k" * 32, b"n" * 24
SEALED = seal_master_key(MASTER, "correct horse", b"p" * 16, NONCE, LEAST_COST)


def test_a_wrapped_key_unwraps_for_its_segment_only() -> None:
    wrapped = MASTER.wrap(SEGMENT, KEY, NONCE)
    assert len(wrapped) == WRAPPED_KEY_SIZE
    assert KEY not in wrapped
    assert MASTER.unwrap(SEGMENT, wrapped) == KEY
    with pytest.raises(WrongMasterKey):
        MASTER.unwrap(b"t" * 32, wrapped)
    with pytest.raises(WrongMasterKey):
        OTHER.unwrap(SEGMENT, wrapped)


def test_what_is_sealed_for_one_purpose_does_not_open_for_another() -> None:
    sealed = MASTER.seal("manifest", b"", b"text", NONCE)
    assert MASTER.open("manifest", b"", sealed) == b"text"
    with pytest.raises(WrongMasterKey):
        MASTER.open("something else", b"", sealed)


@given(st.binary(max_size=100))
@example(bytes(24))
@example(bytes(39))
def test_anything_else_does_not_unwrap(junk: bytes) -> None:
    with pytest.raises(WrongMasterKey):
        MASTER.unwrap(SEGMENT, junk)


def test_the_mask_key_belongs_to_the_master_key_and_unwraps_nothing() -> None:
    assert MASTER.mask_key != OTHER.mask_key
    assert MASTER.mask_key == MasterKey(bytes(range(32))).mask_key
    with pytest.raises(WrongMasterKey):
        MasterKey(MASTER.mask_key).unwrap(SEGMENT, MASTER.wrap(SEGMENT, KEY, NONCE))


def test_a_master_key_shows_nothing_of_itself() -> None:
    assert "0x" in repr(MASTER)
    assert bytes(range(32)).hex() not in repr(MASTER)
    assert not hasattr(MASTER, "__dict__")


def test_the_passphrase_opens_however_its_letters_were_composed() -> None:
    sealed = seal_master_key(MASTER, "caf\u00e9", b"p" * 16, NONCE, LEAST_COST)
    assert open_master_key(sealed, "cafe\u0301").mask_key == MASTER.mask_key


def test_a_wrong_passphrase_is_told_from_a_damaged_file() -> None:
    assert open_master_key(SEALED, "correct horse").mask_key == MASTER.mask_key
    with pytest.raises(WrongPassphrase):
        open_master_key(SEALED, "correct horsf")


@given(st.integers(0, len(SEALED) - 1), st.integers(1, 255))
def test_a_damaged_file_is_refused(at: int, difference: int) -> None:
    damaged = bytearray(SEALED)
    damaged[at] ^= difference
    with pytest.raises(CorruptKeyFile):
        open_master_key(bytes(damaged), "correct horse")


@given(st.integers(0, len(SEALED) - 1) | st.binary(max_size=200))
def test_a_cut_or_foreign_file_is_refused(change: int | bytes) -> None:
    with pytest.raises(CorruptKeyFile):
        open_master_key(SEALED[:change] if isinstance(change, int) else change, "correct horse")


def test_a_file_may_not_ask_for_endless_work() -> None:
    cheap = seal_master_key(MASTER, "", b"p" * 16, NONCE, Cost(1, 16))
    assert open_master_key(cheap, "").mask_key == MASTER.mask_key
    with pytest.raises(CorruptKeyFile, match="cost"):
        open_master_key(seal_master_key(MASTER, "", b"p" * 16, NONCE, Cost(5, 16)), "")


def test_the_key_file_is_private_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "renter" / "master.key"
    master = create_master_key(path, "pass", LEAST_COST)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(AlreadyThere):
        create_master_key(path, "pass", LEAST_COST)
    assert load_master_key(path, "pass").mask_key == master.mask_key
    assert list(path.parent.iterdir()) == [path]
