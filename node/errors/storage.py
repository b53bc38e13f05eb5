"""What can go wrong with bytes: trees, codes, ciphers, manifests."""

from dataclasses import dataclass

from node.errors.tree import CannotCheck, CheckFailed, OwnFault, short

# We asked for something impossible


@dataclass(eq=False)
class EmptyShard(OwnFault):
    """A tree over no bytes at all was asked for."""

    def __str__(self) -> str:
        return "a shard has at least one byte"


@dataclass(eq=False)
class LeafOutOfRange(OwnFault):
    """A leaf was asked for that the tree does not have."""

    index: int
    leaf_count: int

    def __str__(self) -> str:
        return f"there is no leaf {self.index} in a tree of {self.leaf_count}"


@dataclass(eq=False)
class LeavesOutOfBounds(OwnFault):
    """A range was asked for that is not made of whole leaves of the shard; all in bytes."""

    offset: int
    length: int
    shard_length: int

    def __str__(self) -> str:
        end = self.offset + self.length
        return f"bytes {self.offset} to {end} are no whole leaves of a shard of {self.shard_length}"


@dataclass(eq=False)
class EntryTooLarge(OwnFault):
    """What is to be known of a file is more than farmers are given to keep; both in bytes."""

    entry: bytes
    length: int
    limit: int

    def __str__(self) -> str:
        return (
            f"what is known of file {short(self.entry)} has {self.length} bytes, with farmers at most"
            f" {self.limit} are kept: keep a backup of it (tithe backup)"
        )


@dataclass(eq=False)
class TooLittleRandomness(OwnFault):
    """A choice that nobody may guess was asked for with too few random bytes."""

    length: int
    minimum: int

    def __str__(self) -> str:
        return f"{self.length} random bytes given, at least {self.minimum} needed"


@dataclass(eq=False)
class LengthOutOfRange(OwnFault):
    """A size, a length or an offset in a file is outside what it can be; `most` None is no limit."""

    name: str
    length: int
    least: int
    most: int | None

    def __str__(self) -> str:
        return f"the {self.name} is {self.length}, not within {self.least} and {self.most}"


@dataclass(eq=False)
class SegmentSizeOutOfRange(OwnFault):
    """Segments smaller or larger than a file may be cut into."""

    size: int
    least: int
    most: int

    def __str__(self) -> str:
        return f"segments of {self.size} bytes are not possible: from {self.least} to {self.most}"


@dataclass(eq=False)
class CodeOutOfRange(OwnFault):
    """No Reed-Solomon code over bytes is k of n: it needs 1 <= k <= n <= 256."""

    k: int
    n: int

    def __str__(self) -> str:
        return f"there is no code of {self.k} of {self.n}: it takes 1 <= k <= n <= 256"


@dataclass(eq=False)
class ShardOutOfRange(OwnFault):
    """A shard was named that the code does not have."""

    index: int
    n: int

    def __str__(self) -> str:
        return f"there is no shard {self.index} in a code of {self.n}"


# It cannot be done now


@dataclass(eq=False)
class NotEnoughShards(CannotCheck):
    """Fewer shards than the code needs: the segment cannot be rebuilt from them."""

    have: int
    needed: int

    def __str__(self) -> str:
        return f"{self.have} good shards of the {self.needed} needed"


# The bytes are not what they must be


@dataclass(eq=False)
class CorruptTree(CheckFailed):
    """Bytes that are not a cached tree, or a tree that does not lead to its own root."""

    reason: str

    def __str__(self) -> str:
        return f"the cached tree is unusable: {self.reason}"


@dataclass(eq=False)
class WrongShardLength(CheckFailed):
    """A shard is not as long as its segment's shards are."""

    index: int
    length: int
    expected: int

    def __str__(self) -> str:
        return f"shard {self.index} has {self.length} bytes, not {self.expected}"


@dataclass(eq=False)
class WrongCiphertextLength(CheckFailed):
    """A segment's ciphertext, or a range of it, is not as long as its plaintext asks for."""

    segment: bytes
    length: int
    expected: int

    def __str__(self) -> str:
        return f"segment {short(self.segment)}: {self.length} encrypted bytes, not {self.expected}"


@dataclass(eq=False)
class CorruptChunk(CheckFailed):
    """A chunk does not authenticate: altered, cut, moved, of another segment, or the wrong key."""

    segment: bytes
    index: int

    def __str__(self) -> str:
        return f"chunk {self.index} of segment {short(self.segment)} is not what was encrypted"


@dataclass(eq=False)
class WrongMasterKey(CheckFailed):
    """Something sealed under a master key does not open: it is altered, or the key is another one."""

    what: str

    def __str__(self) -> str:
        return f"the {self.what} does not open with this master key"


@dataclass(eq=False)
class WrongPassphrase(CheckFailed):
    """The sealed master key does not open with this passphrase."""

    def __str__(self) -> str:
        return "wrong passphrase for the master key"


@dataclass(eq=False)
class CorruptKeyFile(CheckFailed):
    """Bytes that are not a sealed master key."""

    reason: str

    def __str__(self) -> str:
        return f"not a sealed master key: {self.reason}"


@dataclass(eq=False)
class MalformedManifest(CheckFailed):
    """A manifest that says something impossible, or bytes that are none."""

    reason: str

    def __str__(self) -> str:
        return f"malformed manifest: {self.reason}"


@dataclass(eq=False)
class CorruptEntry(CheckFailed):
    """An entry that a farmer gives back is not what this renter has sealed under that name and version."""

    entry: bytes
    version: int

    def __str__(self) -> str:
        return f"entry {short(self.entry)}, version {self.version}, is not what was given away"
