"""An IncomingShard: a shard on its way into a store, a temporary file until all of it is on disk."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from node.merkle import Tree, TreeBuilder
from settlement.files import sync_folder

if TYPE_CHECKING:
    from node.shard_store import ShardStore

INCOMING: Final = "incoming"
"""The folder of a store where they are."""


class IncomingShard:
    """Bytes go to a temporary file while their tree grows.

    End with `keep` or `discard`.
    """

    def __init__(self, store: "ShardStore") -> None:
        self._store = store
        self._builder = TreeBuilder()
        with store.naming_faults():
            self._fd, name = tempfile.mkstemp(dir=store.folder / INCOMING)
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
