"""A deployment: which PaymentChannels, on which chain, and how to reach it. One JSON record per chain.

The chain is told by its genesis hash, not by its id: a restarted local chain has the same id, and the same
addresses, but is another chain.
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from payments.eip712 import Domain
from payments.types import Address, Seconds
from settlement import files
from settlement.errors import MalformedDeployment

LOCAL_CHALLENGE_PERIOD: Final = Seconds(60)
CHALLENGE_PERIOD: Final = Seconds(24 * 3600)
LOCAL_CONFIRMATIONS: Final = 1
CONFIRMATIONS: Final = 12
_BYTES_FIELDS: Final = {"genesis_hash": 32, "contract": 20, "token": 20}


@dataclass(frozen=True, slots=True)
class Deployment:
    """PaymentChannels on one chain.

    `genesis_hash` 32 bytes; `token` is the default ERC-20; `deployed_block` is where reading logs begins;
    `challenge_period` (seconds) is what new channels get; news counts once it is `confirmations` blocks deep,
    its own included. `local` chains can be warped and hand out tokens.
    """

    name: str
    url: str
    chain_id: int
    genesis_hash: bytes
    contract: Address
    token: Address
    deployed_block: int
    challenge_period: Seconds
    confirmations: int
    local: bool

    @property
    def domain(self) -> Domain:
        """The EIP-712 domain of everything signed for this deployment."""
        return Domain(self.chain_id, self.contract)

    @property
    def genesis16(self) -> str:
        """First 16 hex digits of the genesis hash: the name of this chain's folders."""
        return self.genesis_hash.hex()[:16]

    def save(self, path: Path) -> None:
        """Write the record, whole or not at all."""
        known = {
            key: "0x" + value.hex() if key in _BYTES_FIELDS else value for key, value in asdict(self).items()
        }
        files.write_atomic(path, (json.dumps(known, indent=2) + "\n").encode())

    @classmethod
    def load(cls, path: Path) -> "Deployment":
        """Read a record. Raises MalformedDeployment (also for a file that is not there)."""
        try:
            return cls.from_record(json.loads(path.read_text()))
        except (OSError, ValueError, TypeError, AttributeError) as err:
            raise MalformedDeployment(str(path), str(err) or type(err).__name__) from err

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Deployment":
        """Build a deployment from its JSON form; ValueError names what is wrong."""
        expected = {field.name: field.type for field in fields(cls)}
        if set(record) != set(expected):
            raise ValueError(f"the fields must be {', '.join(expected)}")
        values = dict(record)
        for key, length in _BYTES_FIELDS.items():
            values[key] = bytes.fromhex(str(record[key]).removeprefix("0x"))
            if len(values[key]) != length:
                raise ValueError(f"{key} must have {length} bytes")
        for key in ("chain_id", "deployed_block", "challenge_period", "confirmations"):
            if not isinstance(record[key], int) or record[key] < 0:
                raise ValueError(f"{key} must be a natural number")
        return cls(**values)
