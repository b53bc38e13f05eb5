"""How a story ended: what was stored, audited, paid and returned, and whether every token is accounted for.

Amounts are base units, gas is units of gas used by mined transactions. Values only; `node.demo.stages`
and `node.demo.story` gather them.
"""

from dataclasses import asdict, dataclass
from typing import Any

from node.demo.cast import VILLAINS, Fate
from payments.types import Amount


@dataclass(frozen=True, slots=True)
class StoredFile:
    """The renter's file: its name, length in bytes and SHA-256."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Audits:
    """Outcomes counted over all shards and rounds."""

    passed: int = 0
    failed: int = 0
    offline: int = 0

    def __add__(self, other: "Audits") -> "Audits":
        return Audits(self.passed + other.passed, self.failed + other.failed, self.offline + other.offline)


@dataclass(frozen=True, slots=True)
class FarmerEnding:
    """One farmer at the end: its fate, its audits, what it was promised and what its payee got.

    `before` is what it had been paid by voucher when things went wrong.
    """

    name: str
    fate: Fate
    audits: Audits
    before: Amount
    signed: Amount
    claimed: Amount
    balance: int
    gas: int


@dataclass(frozen=True, slots=True)
class GasUsed:
    """Gas of the three things the renter and the farmers did on chain (claims: all farmers together)."""

    fund: int
    claim: int
    withdraw: int


@dataclass(frozen=True, slots=True)
class Balances:
    """The token contract's own figures at one moment (uint256): supply, renter, channels, each payee."""

    supply: int
    renter: int
    contract: int
    payees: tuple[int, ...]

    @property
    def farmers(self) -> int:
        """What all payees hold."""
        return sum(self.payees)

    @property
    def elsewhere(self) -> int:
        """What nobody in the story holds."""
        return self.supply - self.renter - self.contract - self.farmers


@dataclass(frozen=True, slots=True)
class Ending:
    """Everything the last page of the story says."""

    chain: str
    k: int
    n: int
    file: StoredFile
    segments: int
    retrieved_sha256: str
    farmers: tuple[FarmerEnding, ...]
    before: Balances
    after: Balances
    gas: GasUsed
    seconds: float

    @property
    def audits(self) -> Audits:
        """Outcomes of all farmers."""
        return sum((farmer.audits for farmer in self.farmers), Audits())

    @property
    def signed_total(self) -> Amount:
        """What the vouchers the farmers ended with promise them."""
        return Amount(sum(farmer.signed for farmer in self.farmers))

    @property
    def claimed_total(self) -> Amount:
        """What the contract says was claimed."""
        return Amount(sum(farmer.claimed for farmer in self.farmers))

    @property
    def problems(self) -> tuple[str, ...]:
        """Every promise of the story that was not kept; empty when all is well."""
        return tuple(sentence for kept, sentence in self._checks() if not kept)

    @property
    def conserved(self) -> bool:
        """Whether every token is where vouchers and claims say it must be."""
        return all(kept for kept, _ in self._money_checks())

    def _checks(self) -> tuple[tuple[bool, str], ...]:
        return (
            (
                self.retrieved_sha256 == self.file.sha256,
                "the file that came back is not the one that was stored",
            ),
            (self.audits.passed > 0, "no audit was passed"),
            *(check for farmer in self.farmers for check in self._farmer_checks(farmer)),
            *self._money_checks(),
        )

    def _farmer_checks(self, farmer: FarmerEnding) -> tuple[tuple[bool, str], ...]:
        """Who went bad passed the first round (a shard a segment) only, and earned nothing after it."""
        audits, name = farmer.audits, farmer.name
        if farmer.fate not in VILLAINS:
            return (
                (audits.failed == 0, f"{name} kept everything, and {audits.failed} of its audits failed"),
            )
        caught = audits.offline if farmer.fate is Fate.WENT_OFFLINE else audits.failed
        return (
            (caught > 0, f"{name} {farmer.fate.value}, and no audit noticed"),
            (
                audits.passed == self.segments,
                f"{name} {farmer.fate.value}, and passed {audits.passed} audits",
            ),
            (farmer.claimed == farmer.before, f"{name} earned {farmer.claimed - farmer.before} for nothing"),
        )

    def _money_checks(self) -> tuple[tuple[bool, str], ...]:
        before, after = self.before, self.after
        spent = before.renter - after.renter
        return (
            (after.supply == before.supply, f"the supply went from {before.supply} to {after.supply}"),
            (after.contract == 0, f"{after.contract} base units are left in the contract"),
            (after.elsewhere == before.elsewhere, "tokens went to somebody outside the story"),
            (spent == after.farmers, f"the renter spent {spent}, the farmers have {after.farmers}"),
            (
                self.claimed_total == after.farmers,
                f"{self.claimed_total} was claimed, the farmers have {after.farmers}",
            ),
            *(
                (
                    farmer.balance == farmer.claimed <= farmer.signed,
                    f"{farmer.name} has {farmer.balance}, claimed {farmer.claimed} of {farmer.signed}",
                )
                for farmer in self.farmers
            ),
        )

    def to_json(self) -> dict[str, Any]:
        """The line `tithe demo --json` ends with; amounts are decimal strings of base units."""
        return {
            "chain": self.chain,
            "farmers": len(self.farmers),
            "k": self.k,
            "n": self.n,
            "file": asdict(self.file),
            "retrieved_sha256": self.retrieved_sha256,
            "audits": asdict(self.audits),
            "vouchers": {"signed_total": str(self.signed_total), "claimed_total": str(self.claimed_total)},
            "balances": {
                "renter_before": str(self.before.renter),
                "renter_after": str(self.after.renter),
                "farmers_earned": str(self.after.farmers),
            },
            "conserved": self.conserved,
            "gas": asdict(self.gas),
            "seconds": round(self.seconds, 1),
            "problems": list(self.problems),
            "by_farmer": [
                {
                    "name": farmer.name,
                    "fate": farmer.fate.value,
                    "audits": asdict(farmer.audits),
                    "signed": str(farmer.signed),
                    "claimed": str(farmer.claimed),
                    "gas": farmer.gas,
                }
                for farmer in self.farmers
            ],
        }
