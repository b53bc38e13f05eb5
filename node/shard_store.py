"""A ShardStore: shards as plain files under one folder, each with its Merkle tree cached beside it.

A shard exists when a file bears its final name, which happens only after every byte of it is on disk
(temporary file, fsync, rename, fsync of the folder). The tree is a cache: written without fsync, checked at
every use, rebuilt from the shard when it is unusable. Nothing here knows agreements or money; callers decide
what is kept and name it by 32 bytes.
"""

import errno
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from node.aside import Aside
from node.errors import CorruptTree
from node.incoming_shard import INCOMING, IncomingShard
from node.leaf_ranges import LeafRange, join_paths
from node.merkle import HASH_SIZE, LEAF_SIZE, Tree, TreeBuilder, leaf_count, verify_path
from node.store_faults import (
    NamedFaults,
    ShardDamaged,
    ShardMissing,
    StoreAway,
    StoreFault,
    StoreFull,
    StoreReadOnly,
)
from node.store_marker import Marker
from node.suspects import PATIENCE, Suspects
from settlement.files import sync_folder

__all__ = [
    "IncomingShard",
    "ShardDamaged",
    "ShardMissing",
    "ShardStore",
    "StoreAway",
    "StoreFault",
    "StoreFull",
    "StoreReadOnly",
]

_SHARD: Final = ".shard"
_TREE: Final = ".tree"
_READ_SIZE: Final = 1 << 20
_OTHER_ROOT: Final = "its bytes do not lead to the agreed root"
_NOT_ITS_FAULT: Final = frozenset(
    {
        *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR),
        *(errno.ETIMEDOUT, errno.EBUSY),
    }
)
"""What a system answers that can give no more, or not to us, or not now: no word about the shard."""
_FOLDERS: Final = tuple(f"{number:02x}" for number in range(256))


class ShardStore:
    """Shards under `folder`, spread over 256 sub-folders by the last byte of their name."""

    def __init__(
        self, folder: Path, clock: Callable[[], float] = time.monotonic, *, patience: float = PATIENCE
    ) -> None:
        """patience: seconds for which a shard may be unreadable before it counts as damaged."""
        self.folder = folder
        self._suspects = Suspects(clock, patience)
        self.trash = Aside(folder / "trash")
        self.quarantine = Aside(folder / "quarantine")
        self.marker = Marker(folder)
        self._root = str(folder)

    def prepare(self) -> int:
        """Make the folder where missing and remove what interrupted uploads left; return how many.

        A full disk is no reason to refuse: reads and audits still work. Raises StoreFault on any other.
        """
        incoming = self.folder / INCOMING
        with self.naming_faults():
            incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial = list(incoming.iterdir())
            partial += self._lone_trees()
            for path in partial:
                path.unlink()
        with suppress(StoreFull):
            self.receive().discard()
        return len(partial)

    def _lone_trees(self) -> list[Path]:
        """Find trees whose shard never got its name."""
        found = []
        for folder in _FOLDERS:
            names = self._files_of(folder)
            shards = {name[: -len(_SHARD)] for name in names if name.endswith(_SHARD)}
            trees = {name[: -len(_TREE)] for name in names if name.endswith(_TREE)}
            found += [self.folder / folder / (name + _TREE) for name in trees - shards]
        return found

    def receive(self) -> IncomingShard:
        """Begin a shard. Raises StoreFault."""
        return IncomingShard(self)

    def path(self, shard: bytes) -> Path:
        """Where the shard's bytes are, or would be: a plain file of exactly the shard's length."""
        return Path(self._name(shard) + _SHARD)

    def shards(self) -> Iterator[bytes]:
        """List the names of all shards kept. Raises StoreFault."""
        for folder in _FOLDERS:
            yield from self.shards_of(folder)

    def shards_of(self, folder: str) -> list[bytes]:
        """List the names of the shards in one sub-folder, sorted. Raises StoreFault."""
        found = []
        for file in self._files_of(folder):
            if file.endswith(_SHARD):
                with suppress(ValueError):
                    found.append(bytes.fromhex(file[: -len(_SHARD)]))
        return sorted(found)

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

        Touches those leaves, and of the cached tree those paths. Raises ShardMissing, and ShardDamaged where
        a leaf is not what the root commits to.
        """
        fd = self._open(shard)
        try:
            leaves = tuple(
                self._pread(fd, shard, index * LEAF_SIZE, min(LEAF_SIZE, shard_length - index * LEAF_SIZE))
                for index in indices
            )
        finally:
            os.close(fd)
        return leaves, self._paths(shard, indices, leaves, leaf_count(shard_length), data_root)

    def prove_range(
        self, shard: bytes, leaves: LeafRange, shard_length: int, data_root: bytes
    ) -> tuple[bytes, bytes]:
        """Read a range of leaves and the hashes that prove it against `data_root`.

        Touches those leaves, and of the cached tree the paths of the edges. Both edges are checked, so the
        hashes are good ones; what lies between is whatever the disk holds. Raises ShardMissing, and
        ShardDamaged where an edge is not what the root commits to.
        """
        offset = leaves.first * LEAF_SIZE
        data = self.read(shard, offset, min(leaves.stop * LEAF_SIZE, shard_length) - offset)
        edges = sorted({leaves.first, leaves.stop - 1})
        outer = [data[(index - leaves.first) * LEAF_SIZE :][:LEAF_SIZE] for index in edges]
        paths = self._paths(shard, edges, outer, leaves.leaves, data_root)
        return data, join_paths(leaves, paths[0], paths[-1])

    def rebuild(self, shard: bytes) -> Tree:
        """Compute the tree of the bytes that are on disk. Raises ShardMissing, ShardDamaged."""
        builder = TreeBuilder()
        fd = self._open(shard)
        try:
            while chunk := os.read(fd, _READ_SIZE):
                builder.update(chunk)
        except OSError as err:
            raise self._damaged(shard, err) from err
        finally:
            os.close(fd)
        if not builder.length:
            raise ShardDamaged(shard, "its file is empty")
        self._suspects.clear(shard)
        return builder.finish()

    def verify(self, shard: bytes, data_root: bytes) -> None:
        """Read the whole shard. Raises ShardMissing, and ShardDamaged where it does not lead to the root."""
        if self.rebuild(shard).root != data_root:
            raise ShardDamaged(shard, _OTHER_ROOT)

    def root(self, shard: bytes) -> bytes | None:
        """Say what data root the cached tree of a shard has, unchecked; None where there is none."""
        tree = self._cached_tree(shard)
        return tree.root if tree else None

    def share(self, held: bytes, shard: bytes, data_root: bytes) -> None:
        """Keep the bytes of `held`, read through first, as another shard too: durable, and taking no room.

        Raises ShardMissing, ShardDamaged, and StoreFault, also where the filesystem knows no hard links.
        """
        tree = self._sound_tree(held, None, data_root)
        final, temporary = self.path(shard), self.folder / INCOMING / f"{shard.hex()}.link"
        with self.naming_faults():
            self.make_parent(final)
            self.write_tree(shard, tree)
            temporary.unlink(missing_ok=True)
            temporary.hardlink_to(self.path(held))
            os.utime(temporary)  # as young as the agreement: the scan goes by it where books are old
            temporary.rename(final)
            temporary.unlink(missing_ok=True)  # left where `final` was the same file already
            sync_folder(final.parent)

    def delete(self, shard: bytes) -> None:
        """Remove a shard and its tree for good; one that is not there is fine. Raises StoreFault."""
        path = self.path(shard)
        with self.naming_faults():
            path.with_suffix(_TREE).unlink(missing_ok=True)  # first: a tree alone would be nobody's
            path.unlink(missing_ok=True)

    def put_aside(self, shard: bytes, where: Aside, now: int) -> None:
        """Move a shard into trash or quarantine; one that is not there is fine. Raises StoreFault."""
        path = self.path(shard)
        with self.naming_faults():
            path.with_suffix(_TREE).unlink(missing_ok=True)
            where.take(path, shard, now)

    def take_back(self, shard: bytes) -> bool:
        """Move a shard out of the trash, durable when this returns; whether it was there.

        Raises StoreFault.
        """
        found = self.trash.find(shard)
        if found is None:
            return False
        path = self.path(shard)
        with self.naming_faults():
            self.make_parent(path)
            return self.trash.give_back(found, path)

    def write_tree(self, shard: bytes, tree: Tree) -> None:
        """Cache a tree beside its shard, whole or not at all. Raises OSError."""
        path = self.path(shard).with_suffix(_TREE)
        fd, name = tempfile.mkstemp(dir=self.folder / INCOMING)
        with os.fdopen(fd, "wb") as file:
            file.write(tree.to_bytes())
        Path(name).rename(path)

    def make_parent(self, path: Path) -> None:
        """Make a shard's sub-folder, durable, where it is missing. Raises OSError."""
        if not path.parent.is_dir():
            path.parent.mkdir(mode=0o700, exist_ok=True)
            sync_folder(self.folder)

    def naming_faults(self) -> NamedFaults:
        """Give a context that turns OSError into the StoreFault it means."""
        return NamedFaults(self.folder)

    def _files_of(self, folder: str) -> list[str]:
        with self.naming_faults():
            try:
                return os.listdir(f"{self._root}/{folder}")  # noqa: PTH208 - a Path each takes seconds for all
            except FileNotFoundError:
                return []

    def _name(self, shard: bytes) -> str:
        """The path without its ending; a string, since an audit has no time for Path."""
        name = shard.hex()
        return f"{self._root}/{name[-2:]}/{name}"

    def _open(self, shard: bytes) -> int:
        """Open a shard's file. Raises ShardMissing, ShardDamaged; StoreFault where nobody can know."""
        try:
            return os.open(self._name(shard) + _SHARD, os.O_RDONLY)
        except FileNotFoundError:
            self.marker.check()
            raise ShardMissing(shard) from None
        except OSError as err:
            raise self._damaged(shard, err) from err

    def _damaged(self, shard: bytes, err: OSError) -> ShardDamaged:
        """Blame the shard for what a disk that is well says again and again. Raises StoreFault."""
        if err.errno in _NOT_ITS_FAULT:
            raise StoreFault(self.folder, str(err.strerror)) from err
        self.marker.check()
        if not self._suspects.insists(shard):
            raise StoreFault(self.folder, f"shard {shard.hex()}: {err.strerror}") from err
        self._probe()
        return ShardDamaged(shard, str(err.strerror))

    def _probe(self) -> None:
        """See whether the disk still takes what is written. Raises StoreFault."""
        with self.naming_faults(), tempfile.TemporaryFile(dir=self.folder / INCOMING) as file:
            file.write(b"is it there?")
            file.flush()
            os.fsync(file.fileno())

    def _pread(self, fd: int, shard: bytes, offset: int, length: int) -> bytes:
        try:
            data = os.pread(fd, length, offset)
        except OSError as err:
            raise self._damaged(shard, err) from err
        if len(data) != length:
            raise ShardDamaged(shard, f"its file ends before byte {offset + length}")
        return data

    def _paths(
        self, shard: bytes, indices: Sequence[int], leaves: Sequence[bytes], count: int, data_root: bytes
    ) -> tuple[tuple[bytes, ...], ...]:
        """Give the paths by which these leaves lead to the root. Raises ShardDamaged where one does not."""
        paths = self._cached_paths(shard, indices, count)
        if paths is None or not _lead_to(data_root, indices, leaves, count, paths):
            tree = self._sound_tree(shard, self._cached_tree(shard), data_root)
            paths = _sound_paths(tree, indices, leaves, data_root)
        if paths is None:
            raise ShardDamaged(shard, "a leaf is not what its tree says")
        return paths

    def _cached_paths(
        self, shard: bytes, indices: Sequence[int], leaves: int
    ) -> tuple[tuple[bytes, ...], ...] | None:
        """Read these paths and no more of the cached tree; None where it is not one of so many leaves."""
        try:
            fd = os.open(self._name(shard) + _TREE, os.O_RDONLY)
        except OSError:
            return None
        header = Tree.header(leaves)
        try:
            if os.pread(fd, len(header), 0) != header or os.fstat(fd).st_size != Tree.size(leaves):
                return None
            return tuple(
                [
                    tuple([os.pread(fd, HASH_SIZE, offset) for offset in Tree.path_offsets(index, leaves)])
                    for index in indices
                ]
            )
        except OSError:
            return None
        finally:
            os.close(fd)

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
            raise ShardDamaged(shard, _OTHER_ROOT)
        with suppress(OSError):
            self.write_tree(shard, tree)
        return tree


def _sound_paths(
    tree: Tree, indices: Sequence[int], leaves: Sequence[bytes], data_root: bytes
) -> tuple[tuple[bytes, ...], ...] | None:
    """The leaves' paths; None if one leaf is not what the tree and `data_root` commit to."""
    count = tree.leaf_count
    paths = tuple([tree.path(index) if index < count else () for index in indices])
    return paths if _lead_to(data_root, indices, leaves, count, paths) else None


def _lead_to(
    data_root: bytes,
    indices: Sequence[int],
    leaves: Sequence[bytes],
    count: int,
    paths: Sequence[Sequence[bytes]],
) -> bool:
    """Whether all these leaves of a tree of `count` lead to its root by their paths."""
    return all(
        verify_path(leaf, index, count, path, data_root)
        for index, leaf, path in zip(indices, leaves, paths, strict=True)
    )
