"""A Marker: the file in a store's folder that names its farmer. Where it is not, the disk is not.

An empty folder where a disk should be mounted looks like a store without shards; without this file a farmer
would say of every one of them that it is lost.
"""

from pathlib import Path
from typing import Final

from node.store_faults import NamedFaults, StoreAway, StoreFault, StoreOfAnother
from settlement.files import write_atomic

NAME: Final = "tithebarn-shards"


class Marker:
    """The marker of one store. Until it is set, by `claim`, nothing is checked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / NAME
        self._owner: bytes | None = None

    def read(self) -> bytes | None:
        """Whose shards these are, None without a marker. Raises StoreFault."""
        with NamedFaults(self._folder):
            try:
                return bytes.fromhex(self._path.read_text())
            except (FileNotFoundError, ValueError):
                return None

    def claim(self, owner: bytes) -> None:
        """Say whose shards these are; from now on a store without its marker is away.

        Raises StoreOfAnother, StoreFault.
        """
        found = self.read()
        if found not in (None, owner):
            raise StoreOfAnother(self._folder, found or b"")
        if found is None:
            with NamedFaults(self._folder):
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                for torn in self._folder.glob(f".{NAME}.*"):  # written by one that was killed
                    torn.unlink()
                write_atomic(self._path, owner.hex().encode())
        self._owner = owner

    def check(self) -> None:
        """Raise StoreAway or StoreOfAnother where the disk is not the one that was claimed."""
        if self._owner is None:
            return
        try:
            found = self.read()
        except StoreFault as fault:
            raise StoreAway(self._folder) from fault
        if found is None:
            raise StoreAway(self._folder)
        if found != self._owner:
            raise StoreOfAnother(self._folder, found)
