"""A shard store keeps whole shards or nothing, and proves only what is really on its disk."""

import errno
import hashlib
import os
from pathlib import Path

import pytest

from node.merkle import build_tree, verify_path
from node.shard_store import ShardDamaged, ShardMissing, ShardStore, StoreAway, StoreFault, StoreReadOnly
from node.suspects import FORGOTTEN, PATIENCE

NAME = bytes(range(32))
LENGTH = 10_000
DATA = hashlib.shake_256(b"shard").digest(LENGTH)
ROOT = build_tree(DATA).root


@pytest.fixture
def store(tmp_path: Path) -> ShardStore:
    store = ShardStore(tmp_path / "shards")
    store.prepare()
    return store


def keep(store: ShardStore, data: bytes = DATA, name: bytes = NAME) -> None:
    incoming = store.receive()
    for at in range(0, len(data), 700):
        incoming.write(data[at : at + 700])
    incoming.keep(name, incoming.finish())


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_kept_shard_is_read_back_in_ranges(store: ShardStore) -> None:
    keep(store)
    assert store.read(NAME, 0, LENGTH) == DATA
    assert store.read(NAME, 9_000, 1_000) == DATA[9_000:]
    assert list(store.shards()) == [NAME]
    assert store.path(NAME).read_bytes() == DATA


def test_a_discarded_shard_leaves_no_file(store: ShardStore) -> None:
    incoming = store.receive()
    incoming.write(DATA)
    incoming.discard()
    assert [path for path in store.folder.rglob("*") if path.is_file()] == []


def test_prepare_removes_what_an_interrupted_upload_left(store: ShardStore) -> None:
    keep(store)
    store.receive().write(DATA)
    assert ShardStore(store.folder).prepare() == 1
    assert list(store.shards()) == [NAME]


def test_prepare_removes_a_tree_whose_shard_never_got_its_name(store: ShardStore) -> None:
    keep(store)
    other = bytes(31) + NAME[-1:]
    store.write_tree(other, build_tree(DATA))
    assert ShardStore(store.folder).prepare() == 1
    assert sorted(path.name for path in store.path(NAME).parent.iterdir()) == [
        NAME.hex() + ".shard",
        NAME.hex() + ".tree",
    ]


def test_a_shard_put_aside_comes_back_and_its_tree_is_computed_anew(store: ShardStore) -> None:
    keep(store)
    store.put_aside(NAME, store.trash, 0)
    store.put_aside(NAME, store.trash, 0)
    assert list(store.shards()) == []
    with pytest.raises(ShardMissing):
        store.verify(NAME, ROOT)
    assert store.take_back(NAME)
    assert not store.take_back(NAME)
    store.verify(NAME, ROOT)
    store.prove(NAME, (3, 9), LENGTH, ROOT)
    assert store.path(NAME).with_suffix(".tree").exists()


def test_without_its_marker_a_store_is_away_and_no_shard_is_missing(store: ShardStore) -> None:
    keep(store)
    store.marker.claim(b"f" * 32)
    with pytest.raises(ShardMissing):
        store.read(bytes(32), 0, 1)
    (store.folder / "tithebarn-shards").unlink()
    with pytest.raises(StoreAway):
        store.read(bytes(32), 0, 1)
    with pytest.raises(StoreAway):
        store.prove(bytes(32), (0,), 1, ROOT)
    assert store.read(NAME, 0, 5) == DATA[:5]


def test_an_audit_reads_its_leaves_and_paths_and_nothing_else(
    store: ShardStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = hashlib.shake_256(b"large").digest(3_000_000)
    tree = build_tree(data)
    keep(store, data)
    read = []
    real = os.pread

    def pread(fd: int, length: int, offset: int) -> bytes:
        read.append(length)
        return real(fd, length, offset)

    monkeypatch.setattr(os, "pread", pread)
    monkeypatch.setattr(os, "read", None)
    _, (path,) = store.prove(NAME, (1_234,), len(data), tree.root)
    assert path == tree.path(1_234)
    assert sorted(read) == [16, *[32] * len(path), 1024]


def test_keeping_the_same_shard_twice_changes_nothing(store: ShardStore) -> None:
    keep(store)
    keep(store)
    assert store.read(NAME, 0, LENGTH) == DATA


@pytest.mark.parametrize("length", [1, 1023, 1024, 1025, LENGTH])
def test_proofs_lead_to_the_root(store: ShardStore, length: int) -> None:
    data = DATA[:length]
    tree = build_tree(data)
    keep(store, data)
    indices = (0,) if tree.leaf_count == 1 else (0, tree.leaf_count - 1)
    leaves, paths = store.prove(NAME, indices, length, tree.root)
    for index, leaf, path in zip(indices, leaves, paths, strict=True):
        assert verify_path(leaf, index, tree.leaf_count, path, tree.root)


def test_a_flipped_bit_in_the_leaf_is_damage(store: ShardStore) -> None:
    keep(store)
    flip(store.path(NAME), 3 * 1024 + 17)
    with pytest.raises(ShardDamaged, match="a leaf is not what its tree says"):
        store.prove(NAME, (2, 3), LENGTH, ROOT)
    leaves, _ = store.prove(NAME, (2, 4), LENGTH, ROOT)
    assert leaves == (DATA[2048:3072], DATA[4096:5120])


@pytest.mark.parametrize("at", [0, 12, 40, -40])
def test_a_damaged_tree_is_rebuilt_and_cached_again(store: ShardStore, at: int) -> None:
    keep(store)
    tree = store.path(NAME).with_suffix(".tree")
    whole = tree.read_bytes()
    flip(tree, at)
    for index in range(10):
        assert store.prove(NAME, (index,), LENGTH, ROOT)[0] == (DATA[index * 1024 : (index + 1) * 1024],)
    assert tree.read_bytes() == whole


def test_a_missing_tree_is_rebuilt(store: ShardStore) -> None:
    keep(store)
    tree = store.path(NAME).with_suffix(".tree")
    tree.unlink()
    store.prove(NAME, (0, 9), LENGTH, ROOT)
    assert tree.exists()


def test_a_damaged_shard_without_a_tree_proves_nothing(store: ShardStore) -> None:
    keep(store)
    store.path(NAME).with_suffix(".tree").unlink()
    flip(store.path(NAME), 5_000)
    with pytest.raises(ShardDamaged, match="do not lead to the agreed root"):
        store.prove(NAME, (0,), LENGTH, ROOT)


def test_a_truncated_shard_is_damage(store: ShardStore) -> None:
    keep(store)
    with store.path(NAME).open("r+b") as file:
        file.truncate(LENGTH - 1)
    with pytest.raises(ShardDamaged, match="ends before byte 10000"):
        store.prove(NAME, (9,), LENGTH, ROOT)
    with pytest.raises(ShardDamaged):
        store.read(NAME, 9_000, 1_000)
    store.path(NAME).write_bytes(b"")
    with pytest.raises(ShardDamaged, match="empty"):
        store.rebuild(NAME)


def test_a_missing_shard_has_its_own_name(store: ShardStore) -> None:
    for attempt in (
        lambda: store.read(NAME, 0, 1),
        lambda: store.prove(NAME, (0,), LENGTH, ROOT),
        lambda: store.rebuild(NAME),
    ):
        with pytest.raises(ShardMissing) as caught:
            attempt()
        assert caught.value.code == "SHARD_MISSING"


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM])
def test_a_system_that_gives_no_more_says_nothing_of_a_shard(
    store: ShardStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    keep(store)

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StoreFault, match=os.strerror(number)):
        store.verify(NAME, ROOT)


def test_only_an_error_that_comes_back_is_the_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    store = ShardStore(tmp_path / "shards", clock=lambda: now)
    store.prepare()
    keep(store)
    real = os.open

    def refuse(path: str, *arguments: int) -> int:
        if str(path).endswith(".shard"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path, *arguments)

    def read(later: float, fault: type[Exception]) -> None:
        nonlocal now
        now = later
        monkeypatch.setattr(os, "open", refuse)
        with pytest.raises(fault):
            store.read(NAME, 0, 1)
        monkeypatch.setattr(os, "open", real)

    read(0, StoreFault)
    read(PATIENCE - 1, StoreFault)
    read(PATIENCE, ShardDamaged)
    read(FORGOTTEN + 1, StoreFault)
    read(FORGOTTEN + 1 + PATIENCE, ShardDamaged)
    store.verify(NAME, ROOT)
    read(now, StoreFault)
    store.path(NAME).parent.parent.joinpath("incoming").rmdir()  # a disk that takes nothing is ill as a whole
    read(now + PATIENCE, StoreFault)


def test_two_names_share_a_file_that_lives_as_long_as_one_of_them(store: ShardStore) -> None:
    keep(store)
    root, other = build_tree(DATA).root, b"o" * 32
    for _ in range(2):
        store.share(NAME, other, root)
        assert store.path(other).samefile(store.path(NAME))
        assert store.prepare() == 0
    store.delete(NAME)
    assert store.read(other, 0, LENGTH) == DATA
    store.verify(other, root)


def test_what_is_not_as_agreed_is_not_shared(store: ShardStore) -> None:
    keep(store)
    flip(store.path(NAME), 5_000)
    with pytest.raises(ShardDamaged):
        store.share(NAME, b"o" * 32, build_tree(DATA).root)
    with pytest.raises(ShardMissing):
        store.share(b"m" * 32, b"o" * 32, build_tree(DATA).root)
    assert list(store.shards()) == [NAME]


def test_deleting_is_idempotent(store: ShardStore) -> None:
    keep(store)
    store.delete(NAME)
    store.delete(NAME)
    assert list(store.shards()) == []
    assert [path for path in store.folder.rglob("*") if path.is_file()] == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    with pytest.raises(Exception, match="file") as caught:
        ShardStore(blocked / "shards").prepare()
    assert caught.value.code == "STORE_FAULT"  # type: ignore[attr-defined]


def test_a_read_only_folder_is_named(store: ShardStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(StoreReadOnly, match="not writable"):
        store.receive()
