"""A ShardStore: shards as plain files under one folder, each with its Merkle tree cached beside it.

A shard exists when a file bears its final name, which happens only after every byte of it is on disk
(temporary file, fsync, rename, fsync of the folder). The tree is a cache: written without fsync, checked at
every use, rebuilt from the shard when it is unusable. Nothing here knows agreements or money; callers decide
what is kept and name it by 32 bytes.
"""

import errno
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from node.errors import CheckFailed, CorruptTree, NodeError
from node.leaf_ranges import LeafRange, prove_range
from node.merkle import LEAF_SIZE, Tree, TreeBuilder, verify_path
from settlement.files import sync_folder

_SHARD: Final = ".shard"
_TREE: Final = ".tree"
_INCOMING: Final = "incoming"
_READ_SIZE: Final = 1 << 20


class StoreFault(NodeError):
    """The disk refused; nothing of the refused shard is kept."""

    def __init__(self, folder: Path, problem: str) -> None:
        self._folder = folder
        self.problem = problem
        super().__init__(f"{folder}: {problem}")


class StoreFull(StoreFault):
    """No room left on the disk."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "the disk is full; free some space or lower the capacity")


class StoreReadOnly(StoreFault):
    """The folder may not be written."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "not writable; check the owner and mode of the folder")


class ShardMissing(CheckFailed):
    """There is no file for this shard."""

    def __init__(self, shard: bytes) -> None:
        self.shard = shard
        super().__init__(f"shard {shard.hex()} is not in the store")


class ShardDamaged(CheckFailed):
    """The shard's file is there and does not hold what it must."""

    def __init__(self, shard: bytes, reason: str) -> None:
        self.shard = shard
        self.reason = reason
        super().__init__(f"shard {shard.hex()} is damaged: {reason}")


class IncomingShard:
    """A shard on its way in: bytes go to a temporary file while its tree grows.

    End with `keep` or `discard`.
    """

    def __init__(self, store: "ShardStore") -> None:
        self._store = store
        self._builder = TreeBuilder()
        with store.naming_faults():
            self._fd, name = tempfile.mkstemp(dir=store.folder / _INCOMING)
        self._path = Path(name)
        self._open = True

    @property
    def length(self) -> int:
        """Bytes written so far."""
        return self._builder.length

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes. Raises StoreFault."""
        self._builder.update(data)
        view = memoryview(data)
        with self._store.naming_faults():
            while view:
                view = view[os.write(self._fd, view) :]

    def finish(self) -> Tree:
        """Compute the tree over all bytes written. Raises EmptyShard."""
        return self._builder.finish()

    def keep(self, shard: bytes, tree: Tree) -> None:
        """Put the bytes on disk under the name `shard`, durable when this returns. Raises StoreFault."""
        final = self._store.path(shard)
        with self._store.naming_faults():
            os.fsync(self._fd)
            self._store.make_parent(final)
            self._store.write_tree(shard, tree)
            self._path.rename(final)
            sync_folder(final.parent)
        self._close()

    def discard(self) -> None:
        """Leave nothing behind. Harmless after `keep`."""
        if self._open:
            self._close()
            with suppress(OSError):
                self._path.unlink()

    def _close(self) -> None:
        if self._open:
            self._open = False
            os.close(self._fd)


class ShardStore:
    """Shards under `folder`, spread over 256 sub-folders by the last byte of their name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._root = str(folder)

    def prepare(self) -> int:
        """Make the folder where missing and remove what interrupted uploads left; return how many.

        A full disk is no reason to refuse: reads and audits still work. Raises StoreFault on any other.
        """
        incoming = self.folder / _INCOMING
        with self.naming_faults():
            incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial = list(incoming.iterdir())
            for path in partial:
                path.unlink()
        with suppress(StoreFull):
            self.receive().discard()
        return len(partial)

    def receive(self) -> IncomingShard:
        """Begin a shard. Raises StoreFault."""
        return IncomingShard(self)

    def path(self, shard: bytes) -> Path:
        """Where the shard's bytes are, or would be: a plain file of exactly the shard's length."""
        return Path(self._name(shard) + _SHARD)

    def shards(self) -> Iterator[bytes]:
        """List the names of all shards kept, in no order."""
        for folder in self.folder.glob("[0-9a-f][0-9a-f]"):
            for path in folder.glob("*" + _SHARD):
                with suppress(ValueError):
                    yield bytes.fromhex(path.stem)

    def read(self, shard: bytes, offset: int, length: int) -> bytes:
        """Read `length` bytes from `offset`. Raises ShardMissing, ShardDamaged (shorter, or unreadable)."""
        fd = self._open(shard)
        try:
            return self._pread(fd, shard, offset, length)
        finally:
            os.close(fd)

    def prove(
        self, shard: bytes, indices: Sequence[int], shard_length: int, data_root: bytes
    ) -> tuple[tuple[bytes, ...], tuple[tuple[bytes, ...], ...]]:
        """Read the leaves at `indices` and their paths, every one checked against `data_root`.

        Touches those leaves and the cached tree only. Raises ShardMissing, and ShardDamaged where a leaf is
        not what the root commits to.
        """
        fd = self._open(shard)
        try:
            leaves = tuple(
                self._pread(fd, shard, index * LEAF_SIZE, min(LEAF_SIZE, shard_length - index * LEAF_SIZE))
                for index in indices
            )
        finally:
            os.close(fd)
        tree = self._cached_tree(shard)
        paths = None if tree is None else _sound_paths(tree, indices, leaves, data_root)
        if paths is None:
            paths = _sound_paths(self._sound_tree(shard, tree, data_root), indices, leaves, data_root)
        if paths is None:
            raise ShardDamaged(shard, "a leaf is not what its tree says")
        return leaves, paths

    def prove_range(
        self, shard: bytes, leaves: LeafRange, shard_length: int, data_root: bytes
    ) -> tuple[bytes, bytes]:
        """Read a range of leaves and the hashes that prove it against `data_root`.

        Touches those leaves and the cached tree only. Both edges are checked, so the hashes are good ones;
        what lies between is whatever the disk holds. Raises ShardMissing, and ShardDamaged where an edge is
        not what the root commits to.
        """
        offset = leaves.first * LEAF_SIZE
        data = self.read(shard, offset, min(leaves.stop * LEAF_SIZE, shard_length) - offset)
        tree = self._cached_tree(shard)
        edges = sorted({leaves.first, leaves.stop - 1})
        outer = [data[(index - leaves.first) * LEAF_SIZE :][:LEAF_SIZE] for index in edges]
        if tree is None or _sound_paths(tree, edges, outer, data_root) is None:
            tree = self._sound_tree(shard, tree, data_root)
            if _sound_paths(tree, edges, outer, data_root) is None:
                raise ShardDamaged(shard, "a leaf is not what its tree says")
        return data, prove_range(tree, leaves)

    def rebuild(self, shard: bytes) -> Tree:
        """Compute the tree of the bytes that are on disk. Raises ShardMissing, ShardDamaged."""
        builder = TreeBuilder()
        fd = self._open(shard)
        try:
            while chunk := os.read(fd, _READ_SIZE):
                builder.update(chunk)
        except OSError as err:
            raise ShardDamaged(shard, str(err.strerror)) from err
        finally:
            os.close(fd)
        if not builder.length:
            raise ShardDamaged(shard, "its file is empty")
        return builder.finish()

    def delete(self, shard: bytes) -> None:
        """Remove a shard and its tree; one that is not there is fine. Raises StoreFault."""
        path = self.path(shard)
        with self.naming_faults():
            path.unlink(missing_ok=True)
            path.with_suffix(_TREE).unlink(missing_ok=True)

    def write_tree(self, shard: bytes, tree: Tree) -> None:
        """Cache a tree beside its shard, whole or not at all. Raises OSError."""
        path = self.path(shard).with_suffix(_TREE)
        fd, name = tempfile.mkstemp(dir=self.folder / _INCOMING)
        with os.fdopen(fd, "wb") as file:
            file.write(tree.to_bytes())
        Path(name).rename(path)

    def make_parent(self, path: Path) -> None:
        """Make a shard's sub-folder, durable, where it is missing. Raises OSError."""
        if not path.parent.is_dir():
            path.parent.mkdir(mode=0o700, exist_ok=True)
            sync_folder(self.folder)

    def naming_faults(self) -> "_NamedFaults":
        """Give a context that turns OSError into the StoreFault it means."""
        return _NamedFaults(self.folder)

    def _name(self, shard: bytes) -> str:
        """The path without its ending; a string, since an audit has no time for Path."""
        name = shard.hex()
        return f"{self._root}/{name[-2:]}/{name}"

    def _open(self, shard: bytes) -> int:
        try:
            return os.open(self._name(shard) + _SHARD, os.O_RDONLY)
        except FileNotFoundError:
            raise ShardMissing(shard) from None
        except OSError as err:
            raise ShardDamaged(shard, str(err.strerror)) from err

    def _pread(self, fd: int, shard: bytes, offset: int, length: int) -> bytes:
        try:
            data = os.pread(fd, length, offset)
        except OSError as err:
            raise ShardDamaged(shard, str(err.strerror)) from err
        if len(data) != length:
            raise ShardDamaged(shard, f"its file ends before byte {offset + length}")
        return data

    def _cached_tree(self, shard: bytes) -> Tree | None:
        try:
            fd = os.open(self._name(shard) + _TREE, os.O_RDONLY)
        except OSError:
            return None
        try:
            return Tree.from_bytes(os.read(fd, os.fstat(fd).st_size))
        except (OSError, CorruptTree):
            return None
        finally:
            os.close(fd)

    def _sound_tree(self, shard: bytes, cached: Tree | None, data_root: bytes) -> Tree:
        """Give a tree that does lead to `data_root`: the cached one, else rebuilt and cached anew."""
        with suppress(CorruptTree):
            if cached is not None and cached.root == data_root:
                cached.check()
                return cached
        tree = self.rebuild(shard)
        if tree.root != data_root:
            raise ShardDamaged(shard, "its bytes do not lead to the agreed root")
        with suppress(OSError):
            self.write_tree(shard, tree)
        return tree


class _NamedFaults:
    """Turns OSError into StoreFault."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, trace: object) -> None:
        if not isinstance(err, OSError):
            return
        if err.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFull(self._folder) from err
        if err.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise StoreReadOnly(self._folder) from err
        raise StoreFault(self._folder, str(err.strerror)) from err


def _sound_paths(
    tree: Tree, indices: Sequence[int], leaves: Sequence[bytes], data_root: bytes
) -> tuple[tuple[bytes, ...], ...] | None:
    """The leaves' paths; None if one leaf is not what the tree and `data_root` commit to."""
    count, paths = tree.leaf_count, []
    for index, leaf in zip(indices, leaves, strict=True):
        path = tree.path(index) if index < count else ()
        if not verify_path(leaf, index, count, path, data_root):
            return None
        paths.append(path)
    return tuple(paths)
