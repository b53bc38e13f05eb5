"""What makes a renter's whole action impossible; trouble with one farmer is a Fault in the report instead.

NodeError
+- OwnFault
|  +- ImpossibleShape      k and n that are no code
|  +- NameTaken, UnknownFile, UnknownPeer, UnknownChannel, NothingToDo
+- CannotCheck
   +- NotEnoughFarmers     fewer usable farmers than shards
   +- PutFailed            farmers refused and no spare one was left
   +- FileUnavailable      fewer than k good shards
"""

from dataclasses import dataclass

from node.errors import CannotCheck, OwnFault


@dataclass(eq=False)
class ImpossibleShape(OwnFault):
    """No erasure code has this k and n."""

    k: int
    n: int
    limit: int

    def __str__(self) -> str:
        return f"{self.k} of {self.n} is no shape: 1 <= k <= n <= {self.limit}"


@dataclass(eq=False)
class NotEnoughFarmers(CannotCheck):
    """Fewer usable farmers than the file needs."""

    needed: int
    usable: int

    def __str__(self) -> str:
        return (
            f"{self.needed} farmers needed, {self.usable} usable: "
            "add some (tithe peers add), fund channels to them (tithe channel fund), or choose a smaller n"
        )
