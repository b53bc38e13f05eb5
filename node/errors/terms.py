"""What an agreement or a challenge can be refused for."""

from dataclasses import dataclass

from node.errors.tree import PeerFault, short

# Agreements (node.agreement)


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


# Challenges (node.audit)


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
