"""What a watchtower refuses. Root: NodeError."""

from dataclasses import dataclass

from node.errors import PeerFault


class WatchRefused(PeerFault):
    """The tower does not take this."""


@dataclass(eq=False)
class NotServed(WatchRefused):
    """The node is none of those that this tower works for."""

    node: bytes

    def __str__(self) -> str:
        return f"this tower does not serve node 0x{self.node.hex()[:16]}"


@dataclass(eq=False)
class NothingToWatch(WatchRefused):
    """No voucher came along."""

    channel_id: bytes

    def __str__(self) -> str:
        return f"no voucher of channel 0x{self.channel_id.hex()[:16]} came along"


@dataclass(eq=False)
class UnproductiveProof(WatchRefused):
    """A conditional voucher whose challenge or proof is not the one it was signed for."""

    channel_id: bytes
    reason: str

    def __str__(self) -> str:
        return f"the proof for channel 0x{self.channel_id.hex()[:16]} is none: {self.reason}"


@dataclass(eq=False)
class TooManyWatched(WatchRefused):
    """The farmer has brought as many channels as the tower keeps for one."""

    limit: int

    def __str__(self) -> str:
        return f"a farmer may have {self.limit} channels watched"
