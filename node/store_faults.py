"""What can go wrong with a farmer's store of shards: the disk, one shard on it, or no disk at all.

StoreFault                  the disk refused
+-- StoreFull, StoreReadOnly
+-- StoreAway               the folder is not the one that the shards are in: a disk that is not mounted
+-- StoreOfAnother          the folder belongs to another farmer
+-- ShardsGone              the folder is the right one, and a good part of its shards is not there
ShardMissing, ShardDamaged  one shard, on a disk that is there
"""

import errno
from pathlib import Path
from types import TracebackType

from node.errors import CheckFailed, NodeError, short


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


class StoreAway(StoreFault):
    """The shards' disk is not there: not mounted, unplugged, or broken as a whole."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            folder,
            "the shards are not here: mount their disk (if lost for good: tithe farm run --accept-loss)",
        )


class StoreOfAnother(StoreFault):
    """The disk that is there holds the shards of another farmer."""

    def __init__(self, folder: Path, owner: bytes) -> None:
        self.owner = owner
        super().__init__(folder, f"these are the shards of farmer {short(owner)}: mount the disk of this one")


class ShardsGone(StoreFault):
    """So many shards are missing that it is no accident of one file."""

    def __init__(self, folder: Path, missing: int, due: int) -> None:
        self.missing = missing
        self.due = due
        super().__init__(
            folder,
            f"{missing} of {due} shards are gone: bring them back, every one would be found lost and earn "
            "nothing further (if they are lost for good: tithe farm run --accept-loss)",
        )


class ShardMissing(CheckFailed):
    """There is no file for this shard."""

    reason = "its file is gone"

    def __init__(self, shard: bytes) -> None:
        self.shard = shard
        super().__init__(f"shard {shard.hex()} is not in the store")


class ShardDamaged(CheckFailed):
    """The shard's file is there and does not hold what it must."""

    def __init__(self, shard: bytes, reason: str) -> None:
        self.shard = shard
        self.reason = reason
        super().__init__(f"shard {shard.hex()} is damaged: {reason}")


class NamedFaults:
    """A context that turns OSError into the StoreFault it means."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(err, OSError):
            return
        if err.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFull(self._folder) from err
        if err.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise StoreReadOnly(self._folder) from err
        raise StoreFault(self._folder, str(err.strerror)) from err
