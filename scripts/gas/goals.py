"""What PaymentChannels has to reach: the rows of the gas table with their goals, and which peers compare."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from scripts.gas.meter import Figure
from scripts.gas.tithebarn import SYSTEM


@dataclass(frozen=True, slots=True)
class Goal:
    """`operation` at `n` rows may cost `gas` a row. `less`: what is taken off first (another of ours).

    Peers are compared by `peers`, the operation of theirs that does the same, if there is one.
    """

    title: str
    operation: str
    n: int
    gas: int
    peers: str = ""
    less: str = ""

    def ours(self, figures: Iterable[Figure]) -> float | None:
        """What ours costs; None where it was not measured at this size."""
        found = {one.operation: one.gas for one in figures if one.system == SYSTEM and one.n == self.n}
        if self.operation not in found or (self.less and self.less not in found):
            return None
        return found[self.operation] - (found[self.less] if self.less else 0)

    def rivals(self, figures: Sequence[Figure]) -> list[Figure]:
        """The peers' figures, cheapest first, one a system: at this size, or alone where there is none."""
        best: dict[str, Figure] = {}
        for one in figures:
            if one.system != SYSTEM and one.operation == self.peers and one.n in {1, self.n}:
                kept = best.get(one.system)
                best[one.system] = one if kept is None or one.n == self.n else kept
        return sorted(best.values(), key=lambda one: one.gas)


GOALS: Final = (
    Goal("open, each of 100 in one transaction", "open", 100, 24_300, "open"),
    Goal("open one alone, the contract holds the token", "open", 1, 67_000, "open"),
    Goal("top up, each of 100", "top_up", 100, 7_250, "top_up"),
    Goal("claim alone, a later one, own function", "claim", 1, 50_200, "claim"),
    Goal("claim alone, a later one, batch of one", "sweep", 1, 53_500),
    Goal("sweep of 100 payers, each", "sweep", 100, 12_900, "sweep"),
    Goal("relayed for 100 farmers, each", "relay", 100, 21_750, "relay"),
    Goal("relayed for 100 farmers with a signed fee, each", "relay_with_fee", 100, 26_500, "relay"),
    Goal("push to 100 farmers, each", "push", 100, 15_500, "push"),
    Goal("proof of a 1 KiB leaf of 2.3 MB, on top of a claim", "claim_with_proof", 1, 38_500, less="claim"),
    Goal("exit: request alone", "request_close", 1, 31_000, "request_close"),
    Goal("exit: withdraw alone, after claims", "withdraw", 1, 46_600, "withdraw"),
    Goal("exit: request, each of 100", "request_close", 100, 8_000, "request_close"),
    Goal("exit: withdraw, each of 100", "withdraw", 100, 8_500, "withdraw"),
)
