"""What a peer's bytes, requests and records can be refused for, before anybody asks what they mean."""

from dataclasses import dataclass

from node.errors.tree import PeerFault, short

# Messages (node.messages)


@dataclass(eq=False)
class MalformedMessage(PeerFault):
    """Bytes that are not the message they should be: too long, no JSON, or a field is not what it must be."""

    message: str
    reason: str

    def __str__(self) -> str:
        return f"malformed {self.message}: {self.reason}"


# Requests (node.authentication)


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


# Node records (node.node_record)


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
