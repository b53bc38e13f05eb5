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
signatures are never fields. `tree` holds the trunk, the other modules one subject each; farmer, renter,
transport and API keep their own branches beside their code.
"""

from node.errors.home import (
    AlreadyThere,
    BadName,
    DamagedExport,
    DamagedFile,
    DirectoryRefused,
    HomeError,
    NotThisNode,
)
from node.errors.requests import (
    BadRecord,
    BadRequest,
    ExpiredRecord,
    ForgedRecord,
    ForgedRequest,
    MalformedHeader,
    MalformedMessage,
    RecordOutOfBounds,
    ReplayedRequest,
    StaleRequest,
    TooManyRequests,
    WrongRecipient,
    WrongRun,
)
from node.errors.storage import (
    CodeOutOfRange,
    CorruptChunk,
    CorruptEntry,
    CorruptKeyFile,
    CorruptTree,
    EmptyShard,
    LeafOutOfRange,
    LengthOutOfRange,
    MalformedManifest,
    NotEnoughShards,
    SegmentSizeOutOfRange,
    ShardOutOfRange,
    TooLittleRandomness,
    WrongCiphertextLength,
    WrongMasterKey,
    WrongPassphrase,
    WrongShardLength,
)
from node.errors.terms import (
    AgreementExpired,
    AgreementTooLong,
    BadAgreement,
    BadChallenge,
    BadIndices,
    ChallengeTooLarge,
    EmptyChallenge,
    ItemDiffers,
    PriceTooLow,
    RepeatedAgreement,
    SelfDealing,
    ShardLengthOutOfBounds,
    StartOutOfBounds,
    TermDiffers,
    UnknownAgreement,
    ValueTooLow,
    WrongFarmer,
    WrongFarmerSignature,
    WrongLeafCount,
    WrongNodeKeySignature,
    WrongRenterSignature,
)
from node.errors.tree import (
    CannotCheck,
    CheckFailed,
    NodeError,
    OwnFault,
    PeerFault,
    plain,
    short,
)

__all__ = [
    "AgreementExpired",
    "AgreementTooLong",
    "AlreadyThere",
    "BadAgreement",
    "BadChallenge",
    "BadIndices",
    "BadName",
    "BadRecord",
    "BadRequest",
    "CannotCheck",
    "ChallengeTooLarge",
    "CheckFailed",
    "CodeOutOfRange",
    "CorruptChunk",
    "CorruptEntry",
    "CorruptKeyFile",
    "CorruptTree",
    "DamagedExport",
    "DamagedFile",
    "DirectoryRefused",
    "EmptyChallenge",
    "EmptyShard",
    "ExpiredRecord",
    "ForgedRecord",
    "ForgedRequest",
    "HomeError",
    "ItemDiffers",
    "LeafOutOfRange",
    "LengthOutOfRange",
    "MalformedHeader",
    "MalformedManifest",
    "MalformedMessage",
    "NodeError",
    "NotEnoughShards",
    "NotThisNode",
    "OwnFault",
    "PeerFault",
    "PriceTooLow",
    "RecordOutOfBounds",
    "RepeatedAgreement",
    "ReplayedRequest",
    "SegmentSizeOutOfRange",
    "SelfDealing",
    "ShardLengthOutOfBounds",
    "ShardOutOfRange",
    "StaleRequest",
    "StartOutOfBounds",
    "TermDiffers",
    "TooLittleRandomness",
    "TooManyRequests",
    "UnknownAgreement",
    "ValueTooLow",
    "WrongCiphertextLength",
    "WrongFarmer",
    "WrongFarmerSignature",
    "WrongLeafCount",
    "WrongMasterKey",
    "WrongNodeKeySignature",
    "WrongPassphrase",
    "WrongRecipient",
    "WrongRenterSignature",
    "WrongRun",
    "WrongShardLength",
    "plain",
    "short",
]
