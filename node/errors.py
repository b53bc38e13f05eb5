"""Everything that can go wrong in a node, as one tree.

    NodeError
    ├── PeerFault      the peer broke the rules: refuse, answer with the code, keep nothing
    │   ├── MalformedMessage
    │   ├── BadRequest     a request that is not authentic, for us, fresh and new
    │   ├── BadRecord      a node record that must not be believed
    │   ├── BadAgreement   terms or signatures of a storage agreement
    │   └── BadChallenge   a challenge that a farmer must not answer
    ├── OwnFault       we broke the rules: our own code asked for something impossible
    ├── CannotCheck    nobody is to blame yet: the thing could not be looked at
    ├── CheckFailed    the thing was looked at and is not what it must be
    └── HomeError      something kept on this machine cannot be used as asked

Each error has a `code` (its class name in UPPER_SNAKE, the `error` field of an API answer) and keeps the
offending values as fields, which `detail` shows in JSON's terms; its sentence is its `str`. Secrets and
signatures are never fields. Sections follow the tree; within one, order is that of the modules that raise.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar


class NodeError(Exception):
    """Root of the tree; never raised itself."""

    code: ClassVar[str] = "NODE_ERROR"

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.code = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).upper()

    @property
    def detail(self) -> dict[str, object]:
        """The offending values: bytes as 0x-hex, integers beyond 2**53 as decimal strings."""
        return {name: _plain(value) for name, value in vars(self).items() if not name.startswith("_")}


class PeerFault(NodeError):
    """The peer broke the rules."""


class OwnFault(NodeError):
    """We broke the rules."""


class CannotCheck(NodeError):
    """The thing could not be looked at."""


class CheckFailed(NodeError):
    """The thing was looked at and is not what it must be."""


def short(name: bytes) -> str:
    """Return an id as sentences show it: 0x and its first eight bytes; the whole stands in a field."""
    shown = 8
    return "0x" + name[:shown].hex() + ("…" if len(name) > shown else "")


def _plain(value: object) -> object:
    match value:
        case bytes():
            return "0x" + value.hex()
        case bool() | None | str():
            return value
        case int():
            return value if abs(value) <= 2**53 else str(value)
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return str(value)


# PeerFault: messages


@dataclass(eq=False)
class MalformedMessage(PeerFault):
    """Bytes that are not the message they should be: too long, no JSON, or a field is not what it must be."""

    message: str
    reason: str

    def __str__(self) -> str:
        return f"malformed {self.message}: {self.reason}"


# PeerFault: requests (node.identity)


class BadRequest(PeerFault):
    """A request that is not authentic, for us, fresh and new."""


@dataclass(eq=False)
class MalformedHeader(BadRequest):
    """An authentication header is missing or is not what it should be."""

    header: str

    def __str__(self) -> str:
        return f"the header {self.header} is missing or malformed"


@dataclass(eq=False)
class WrongRecipient(BadRequest):
    """The request is meant for another node."""

    recipient: bytes
    us: bytes

    def __str__(self) -> str:
        return f"the request is for node {short(self.recipient)}, this is {short(self.us)}"


@dataclass(eq=False)
class ForgedRequest(BadRequest):
    """The signature over a request does not verify under the node key it names."""

    node: bytes

    def __str__(self) -> str:
        return f"the request's signature is not of node {short(self.node)}"


@dataclass(eq=False)
class StaleRequest(BadRequest):
    """The request's time is too far from ours, or from before this node began to remember nonces."""

    time: int
    earliest: int
    latest: int

    def __str__(self) -> str:
        return (
            f"the request's time {self.time} is not within {self.earliest} and {self.latest}: check the clock"
        )


@dataclass(eq=False)
class WrongRun(BadRequest):
    """The request is dated near our start and does not name our present run: sign again, naming it."""

    named: bytes
    run: bytes

    def __str__(self) -> str:
        return f"this node has just started: sign the request again for its run 0x{self.run.hex()}"


@dataclass(eq=False)
class ReplayedRequest(BadRequest):
    """A nonce of this node has been seen before."""

    node: bytes
    nonce: bytes

    def __str__(self) -> str:
        return f"node {short(self.node)} has already used the nonce 0x{self.nonce.hex()}"


@dataclass(eq=False)
class TooManyRequests(BadRequest):
    """One node, or all together, sent more requests than are remembered within the window."""

    node: bytes
    limit: int
    retry_after: int

    def __str__(self) -> str:
        return f"more than {self.limit} requests within the window: try again in {self.retry_after} s"


# PeerFault: node records (node.identity)


class BadRecord(PeerFault):
    """A node record that must not be believed."""


@dataclass(eq=False)
class ForgedRecord(BadRecord):
    """The signature over a node record does not verify under its node key."""

    node: bytes

    def __str__(self) -> str:
        return f"the record's signature is not of node {short(self.node)}"


@dataclass(eq=False)
class ExpiredRecord(BadRecord):
    """The node record is no longer valid."""

    node: bytes
    expires_at: int
    now: int

    def __str__(self) -> str:
        return f"the record of node {short(self.node)} expired at {self.expires_at}, it is {self.now}"


@dataclass(eq=False)
class RecordOutOfBounds(BadRecord):
    """A field of a node record is not acceptable: the number or form of its URLs, its lifetime."""

    node: bytes
    field: str

    def __str__(self) -> str:
        return f"the record of node {short(self.node)} has unacceptable {self.field}"


# PeerFault: agreements (node.agreement)


class BadAgreement(PeerFault):
    """Terms or signatures of an agreement that must be refused."""


@dataclass(eq=False)
class WrongRenterSignature(BadAgreement):
    """The agreement is not signed by the renter's signer; `recovered` is None where no key fits at all."""

    expected: bytes
    recovered: bytes | None

    def __str__(self) -> str:
        return f"the agreement must be signed by 0x{self.expected.hex()}, not by {_signer(self.recovered)}"


@dataclass(eq=False)
class WrongNodeKeySignature(BadAgreement):
    """A node key is not countersigned by its signer; `recovered` is None where no key fits at all."""

    node: bytes
    expected: bytes
    recovered: bytes | None

    def __str__(self) -> str:
        by = _signer(self.recovered)
        return f"node {short(self.node)} must be countersigned by 0x{self.expected.hex()}, not by {by}"


@dataclass(eq=False)
class WrongFarmerSignature(BadAgreement):
    """The agreement is not countersigned by the farmer's node key."""

    farmer: bytes

    def __str__(self) -> str:
        return f"the countersignature is not of farmer {short(self.farmer)}"


@dataclass(eq=False)
class WrongFarmer(BadAgreement):
    """The agreement names another farmer than the quote."""

    farmer: bytes
    expected: bytes

    def __str__(self) -> str:
        return f"the agreement is with farmer {short(self.farmer)}, the quote is of {short(self.expected)}"


@dataclass(eq=False)
class SelfDealing(BadAgreement):
    """Renter and farmer of the agreement are the same node."""

    node: bytes

    def __str__(self) -> str:
        return f"node {short(self.node)} is on both sides of the agreement"


@dataclass(eq=False)
class AgreementExpired(BadAgreement):
    """The agreement's end does not lie after both its start and now."""

    start: int
    end: int
    now: int

    def __str__(self) -> str:
        return f"the agreement runs from {self.start} to {self.end}, it is {self.now}"


@dataclass(eq=False)
class StartOutOfBounds(BadAgreement):
    """The agreement starts too far from now."""

    start: int
    earliest: int
    latest: int

    def __str__(self) -> str:
        return f"the agreement starts at {self.start}, not within {self.earliest} and {self.latest}"


@dataclass(eq=False)
class AgreementTooLong(BadAgreement):
    """The agreement runs longer than the farmer offers."""

    seconds: int
    limit: int

    def __str__(self) -> str:
        return f"the agreement runs for {self.seconds} s, the farmer offers at most {self.limit} s"


@dataclass(eq=False)
class ShardLengthOutOfBounds(BadAgreement):
    """The shard has no byte, or more than the farmer has free."""

    shard_length: int
    limit: int

    def __str__(self) -> str:
        return f"the shard has {self.shard_length} bytes, not 1 to {self.limit}"


@dataclass(eq=False)
class WrongLeafCount(BadAgreement):
    """The leaf count is not that of a shard of this length."""

    leaf_count: int
    expected: int
    shard_length: int

    def __str__(self) -> str:
        return f"{self.shard_length} bytes have {self.expected} leaves, the agreement says {self.leaf_count}"


@dataclass(eq=False)
class PriceTooLow(BadAgreement):
    """A price of the agreement is below the quote; `field` is step or download_price."""

    field: str
    price: int
    quoted: int

    def __str__(self) -> str:
        return f"the {self.field} of {self.price} base units is below the quoted {self.quoted}"


@dataclass(eq=False)
class ValueTooLow(BadAgreement):
    """The whole agreement is worth less than the farmer's minimum."""

    value: int
    minimum: int

    def __str__(self) -> str:
        return f"the agreement is worth {self.value} base units, the farmer's minimum is {self.minimum}"


@dataclass(eq=False)
class TermDiffers(BadAgreement):
    """A term that the quote fixes, in seconds, has another value in the agreement."""

    field: str
    value: int
    quoted: int

    def __str__(self) -> str:
        return f"the {self.field} of {self.value} s is not the quoted {self.quoted} s"


def _signer(recovered: bytes | None) -> str:
    return "any key" if recovered is None else f"0x{recovered.hex()}"


# PeerFault: challenges (node.audit)


class BadChallenge(PeerFault):
    """A challenge that a farmer must not answer."""


@dataclass(eq=False)
class EmptyChallenge(BadChallenge):
    """A challenge without items asks for nothing."""

    audit_id: bytes

    def __str__(self) -> str:
        return f"challenge {short(self.audit_id)} has no items"


@dataclass(eq=False)
class ChallengeTooLarge(BadChallenge):
    """The proof would not fit into one claim transaction."""

    size: int
    limit: int

    def __str__(self) -> str:
        return f"the challenge's proof takes {self.size} bytes of a claim, the limit is {self.limit}"


@dataclass(eq=False)
class UnknownAgreement(BadChallenge):
    """The item's agreement is not one that this renter has with us."""

    agreement: bytes

    def __str__(self) -> str:
        return f"there is no agreement {short(self.agreement)} with this renter"


@dataclass(eq=False)
class RepeatedAgreement(BadChallenge):
    """Two items of one challenge ask for the same agreement."""

    agreement: bytes

    def __str__(self) -> str:
        return f"agreement {short(self.agreement)} appears twice in one challenge"


@dataclass(eq=False)
class ItemDiffers(BadChallenge):
    """The item's data root or leaf count is not its agreement's."""

    agreement: bytes
    data_root: bytes
    leaf_count: int

    def __str__(self) -> str:
        return f"data root or leaf count of the item differ from agreement {short(self.agreement)}"


@dataclass(eq=False)
class BadIndices(BadChallenge):
    """The item's indices are not 1 to 4, strictly increasing and below the leaf count."""

    agreement: bytes
    indices: tuple[int, ...]
    leaf_count: int

    def __str__(self) -> str:
        return f"indices {list(self.indices)} are not 1 to 4, strictly increasing and below {self.leaf_count}"


# OwnFault


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


# CannotCheck


@dataclass(eq=False)
class NotEnoughShards(CannotCheck):
    """Fewer shards than the code needs: the segment cannot be rebuilt from them."""

    have: int
    needed: int

    def __str__(self) -> str:
        return f"{self.have} good shards of the {self.needed} needed"


# CheckFailed


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


# What is kept on this machine


@dataclass(eq=False)
class HomeError(NodeError):
    """Something below TITHE_HOME cannot be used as asked. See node.home."""


@dataclass(eq=False)
class BadName(HomeError):
    """A name that would not be safe as a file name."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.name!r} cannot name a {self.kind}: letters, digits, dots, dashes, at most 64"


@dataclass(eq=False)
class AlreadyThere(HomeError):
    """A file that is never replaced exists."""

    path: Path

    def __str__(self) -> str:
        return f"{self.path} exists and is not replaced: move it away first, or choose another name"


@dataclass(eq=False)
class DamagedFile(HomeError):
    """A file is not what its place says it is."""

    path: Path
    problem: str

    def __str__(self) -> str:
        return f"{self.path} cannot be used: {self.problem}"


@dataclass(eq=False)
class DirectoryRefused(HomeError):
    """The system does not let us write where we must."""

    path: Path
    problem: str

    def __str__(self) -> str:
        return f"cannot write to {self.path}: {self.problem}"
