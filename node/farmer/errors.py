"""What a farmer refuses, as part of the tree in node.errors. All of these are answered to the renter.

PeerFault
+-- ChannelRefused          WrongPayee, TokenNotAccepted, ChallengePeriodOutOfBounds, ContractSigner,
|                           DepositTooLow, ChannelNotOpen, NodeOfAnother, TooManyChannels
+-- NotFound                UnknownChannel, AgreementNotFound, EntryNotFound
+-- PaymentRequired         NoChannel, ExposureExceeded, StepAboveExposure
+-- AgreementRefused        WrongRenter, AgreementOver, NotStored, CapacityExceeded, TooManyProposals
+-- ShardRefused            WrongDataRoot, WrongUploadLength
+-- ReadOutOfBounds, ShelfFull
"""

from dataclasses import dataclass

from node.errors import PeerFault, short


class ChannelRefused(PeerFault):
    """A channel whose vouchers this farmer will not take."""


@dataclass(eq=False)
class WrongPayee(ChannelRefused):
    """The channel pays somebody else."""

    payee: bytes
    expected: bytes

    def __str__(self) -> str:
        return f"the channel pays {short(self.payee)}, this farmer's payee is {short(self.expected)}"


@dataclass(eq=False)
class TokenNotAccepted(ChannelRefused):
    """The channel's token is not on the farmer's list."""

    token: bytes
    accepted: tuple[bytes, ...]

    def __str__(self) -> str:
        names = ", ".join("0x" + token.hex() for token in self.accepted)
        return f"token 0x{self.token.hex()} is not accepted here, only {names}"


@dataclass(eq=False)
class ChallengePeriodOutOfBounds(ChannelRefused):
    """A final period too short to claim in, or absurdly long."""

    challenge_period: int
    minimum: int
    maximum: int

    def __str__(self) -> str:
        return f"challenge period {self.challenge_period} s, accepted are {self.minimum} to {self.maximum} s"


@dataclass(eq=False)
class ContractSigner(ChannelRefused):
    """The signer is a contract (ERC-1271): its signatures may stop being valid, and the operator minds."""

    signer: bytes

    def __str__(self) -> str:
        return (
            f"signer 0x{self.signer.hex()} is a contract, which this farmer does not take: "
            "use a plain key, or one delegated by EIP-7702"
        )


@dataclass(eq=False)
class DepositTooLow(ChannelRefused):
    """The confirmed deposit is below the quoted minimum."""

    deposit: int
    minimum: int

    def __str__(self) -> str:
        return f"the confirmed deposit is {self.deposit}, the minimum is {self.minimum} base units"


@dataclass(eq=False)
class ChannelNotOpen(ChannelRefused):
    """The payer asked to close the channel, or has closed it."""

    channel_id: bytes
    closes_at: int

    def __str__(self) -> str:
        return f"channel {short(self.channel_id)} closes at {self.closes_at}: open another"


@dataclass(eq=False)
class NodeOfAnother(ChannelRefused):
    """The channel is already accepted from another node."""

    channel_id: bytes

    def __str__(self) -> str:
        return f"channel {short(self.channel_id)} belongs to another node"


@dataclass(eq=False)
class TooManyChannels(ChannelRefused):
    """So many of the renter's channels are not closed yet."""

    limit: int

    def __str__(self) -> str:
        return (
            f"{self.limit} channels of this node are not closed yet: top one up, or close and withdraw some"
        )


class NotFound(PeerFault):
    """The farmer has nothing of this name for this renter."""


@dataclass(eq=False)
class UnknownChannel(NotFound):
    """No channel of this id was accepted from this renter."""

    channel_id: bytes

    def __str__(self) -> str:
        return f"no channel {short(self.channel_id)} of yours is known here: present its terms first"


@dataclass(eq=False)
class AgreementNotFound(NotFound):
    """No agreement of this id with this renter."""

    agreement: bytes

    def __str__(self) -> str:
        return f"no agreement {short(self.agreement)} with you is known here"


class PaymentRequired(PeerFault):
    """The farmer serves no further before it is paid."""


@dataclass(eq=False)
class NoChannel(PaymentRequired):
    """The renter has no open channel with this farmer."""

    renter: bytes

    def __str__(self) -> str:
        return f"node {short(self.renter)} has no open channel here: fund one and present its terms"


@dataclass(eq=False)
class ExposureExceeded(PaymentRequired):
    """The renter owes more than this farmer lends."""

    exposure: int
    limit: int

    def __str__(self) -> str:
        return (
            f"{self.exposure} base units are owed, the limit is {self.limit}: pay by voucher to go on "
            "(a contract's voucher counts once it is claimed)"
        )


@dataclass(eq=False)
class StepAboveExposure(PaymentRequired):
    """The challenge's step is more than this farmer lends in one go: ask for fewer items at a time."""

    step: int
    limit: int

    def __str__(self) -> str:
        return f"the challenge is worth {self.step}, more than the exposure limit of {self.limit} base units"


class AgreementRefused(PeerFault):
    """An agreement the farmer cannot enter or serve."""


@dataclass(eq=False)
class WrongRenter(AgreementRefused):
    """The agreement names another renter than the node that proposes it."""

    renter: bytes
    node: bytes

    def __str__(self) -> str:
        return f"the agreement is of renter {short(self.renter)}, the request of {short(self.node)}"


@dataclass(eq=False)
class AgreementOver(AgreementRefused):
    """The agreement has expired or was deleted; its shard is gone."""

    agreement: bytes
    state: str

    def __str__(self) -> str:
        return f"agreement {short(self.agreement)} is {self.state}"


@dataclass(eq=False)
class NotStored(AgreementRefused):
    """The agreement's shard was never uploaded."""

    agreement: bytes

    def __str__(self) -> str:
        return f"the shard of agreement {short(self.agreement)} has not been uploaded"


@dataclass(eq=False)
class CapacityExceeded(AgreementRefused):
    """The farmer has not that much room left."""

    needed: int
    free: int

    def __str__(self) -> str:
        return f"{self.needed} bytes wanted, {self.free} are free"


@dataclass(eq=False)
class TooManyProposals(AgreementRefused):
    """So many of the renter's proposals still wait for their shards, or came to nothing lately."""

    limit: int

    def __str__(self) -> str:
        return f"{self.limit} proposals wait for their shards, or came to nothing since yesterday"


class ShardRefused(PeerFault):
    """What was uploaded is not the agreed shard; nothing of it was kept."""


@dataclass(eq=False)
class WrongDataRoot(ShardRefused):
    """The uploaded bytes have another Merkle root than agreed."""

    data_root: bytes
    expected: bytes

    def __str__(self) -> str:
        return f"the uploaded bytes have root {short(self.data_root)}, agreed was {short(self.expected)}"


@dataclass(eq=False)
class WrongUploadLength(ShardRefused):
    """The upload has more or fewer bytes than agreed."""

    length: int
    expected: int

    def __str__(self) -> str:
        return f"{self.length} bytes uploaded, {self.expected} were agreed"


@dataclass(eq=False)
class ReadOutOfBounds(PeerFault):
    """The range asked for is not at most 1 MiB of whole leaves of the shard."""

    offset: int
    length: int
    shard_length: int

    def __str__(self) -> str:
        end = self.offset + self.length
        shard = f"a shard of {self.shard_length}"
        return f"bytes {self.offset} to {end} of {shard}: a read is whole leaves of 1 KiB, at most 1 MiB"


@dataclass(eq=False)
class EntryNotFound(NotFound):
    """Nothing of this name is kept for the renter."""

    entry: bytes

    def __str__(self) -> str:
        return f"nothing named {short(self.entry)} is kept here for you"


@dataclass(eq=False)
class ShelfFull(PeerFault):
    """The renter has as much kept here as one renter may."""

    limit: int
    entries: int

    def __str__(self) -> str:
        return f"at most {self.limit} bytes in {self.entries} entries are kept for one renter"
