"""A deployment: which PaymentChannels, on which chain, and how to reach it. One JSON record per chain.

The chain is told by its genesis hash, not by its id: a restarted local chain has the same id, and the same
addresses, but is another chain. PaymentChannels has the same address on every chain that has the deployment
proxy: where it stands already nothing is deployed, as the address vouches for the code.
"""

import json
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from payments.eip712 import Domain
from payments.types import Address, Seconds
from payments.vouchers import SigningKey
from settlement import deployment_proxy, files
from settlement.abi import CHANNELS, TOKEN, encode_constructor
from settlement.errors import (
    ChainUnreachable,
    MalformedDeployment,
    NodeRefused,
    Reverted,
    TransactionFailed,
)
from settlement.rpc import Receipt, Rpc
from settlement.transactions import send_now

SALT: Final = sha256(b"tithebarn PaymentChannels").digest()
"""Of the deployment, the same everywhere."""
LOCAL_CHALLENGE_PERIOD: Final = Seconds(60)
CHALLENGE_PERIOD: Final = Seconds(24 * 3600)
LOCAL_CONFIRMATIONS: Final = 1
CONFIRMATIONS: Final = 12
DEPTH: Final = "depth"
FINALITIES: Final = (DEPTH, "safe", "finalized")
"""What makes news count: so many blocks upon it, or the chain's own word, where it has these tags."""
LOCAL_CLIENTS: Final = ("anvil", "ganache", "ethereumtester")
PATIENCE: Final = 600.0
"""Seconds to wait until each contract is mined, on chains that are not local ones."""
LOCAL_PATIENCE: Final = 60.0
_BYTES_FIELDS: Final = {"genesis_hash": 32, "contract": 20, "token": 20}


@dataclass(frozen=True, slots=True)
class Deployment:
    """PaymentChannels on one chain.

    `genesis_hash` 32 bytes; `token` is the default ERC-20; `deployed_block` is where reading logs begins;
    `challenge_period` (seconds) is what new channels get; news counts once it is `confirmations` blocks deep,
    its own included, or with `finality` "safe" or "finalized" once the chain calls its block so. `url` may be
    several, separated by commas, in order of preference. `local` chains can be warped and hand out tokens.
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
    finality: str = DEPTH

    @property
    def domain(self) -> Domain:
        """The EIP-712 domain of everything signed for this deployment."""
        return Domain(self.chain_id, self.contract)

    @property
    def folder(self) -> str:
        """Name of the folders of what a node knows of this deployment: parts of genesis hash and contract."""
        return f"{self.genesis_hash[:8].hex()}-{self.contract[:4].hex()}"

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
    def from_record(cls, record: Any) -> "Deployment":  # noqa: ANN401 - JSON
        """Build a deployment from its JSON form; ValueError names what is wrong."""
        expected = [field.name for field in fields(cls)]
        if not isinstance(record, dict) or {"finality", *record} != set(expected):
            raise ValueError(f"the fields must be {', '.join(expected)}")
        record = {"finality": DEPTH, **record}
        if record["finality"] not in FINALITIES:
            raise ValueError(f"finality must be one of {', '.join(FINALITIES)}")
        values = dict(record)
        for key, length in _BYTES_FIELDS.items():
            values[key] = bytes.fromhex(str(record[key]).removeprefix("0x"))
            if len(values[key]) != length:
                raise ValueError(f"{key} must have {length} bytes")
        for key, least in {
            "chain_id": 1,
            "deployed_block": 0,
            "challenge_period": 0,
            "confirmations": 1,
        }.items():
            if type(record[key]) is not int or record[key] < least:
                raise ValueError(f"{key} must be a whole number, {least} at least")
        for key, kind in {"name": str, "url": str, "local": bool}.items():
            if type(record[key]) is not kind:
                raise ValueError(f"{key} must be a {kind.__name__}")
        return cls(**values)


def shared_address() -> Address:
    """The address of PaymentChannels on every chain that has the deployment proxy."""
    return deployment_proxy.address_of(SALT, encode_constructor(CHANNELS))


async def deploy(
    rpc: Rpc,
    key: SigningKey,
    name: str,
    *,
    token: Address | None = None,
    challenge_period: Seconds | None = None,
    confirmations: int | None = None,
) -> Deployment:
    """Put PaymentChannels on a chain, or find it there; without `token` make a StorageToken too.

    Its whole supply is `key`'s. Challenge period and confirmations are chosen by whether the chain is a local
    one; those get the deployment proxy if they lack it. Elsewhere the contract then has an address of its
    own. Raises ChainError; called again it goes on with what is there.
    """
    local = (await rpc.client()).lower().startswith(LOCAL_CLIENTS)
    genesis = await rpc.block(0)
    if genesis is None:
        raise ChainUnreachable(rpc.url, "the node does not show its genesis block")
    chain_id, patience = await rpc.chain_id(), LOCAL_PATIENCE if local else PATIENCE
    proxied = await deployment_proxy.is_installed(rpc)
    if local and not proxied:
        await deployment_proxy.install(rpc, key, seconds=patience)
        proxied = True
    contract, deployed_block = await (_place if proxied else _create)(rpc, key, patience)
    if token is None:
        code = encode_constructor(TOKEN, key.address)
        token = _created(await send_now(rpc, key, None, code, seconds=patience))
    return Deployment(
        name=name,
        url=rpc.urls,
        chain_id=chain_id,
        genesis_hash=genesis.hash,
        contract=contract,
        token=token,
        deployed_block=deployed_block,
        challenge_period=challenge_period or (LOCAL_CHALLENGE_PERIOD if local else CHALLENGE_PERIOD),
        confirmations=confirmations or (LOCAL_CONFIRMATIONS if local else CONFIRMATIONS),
        local=local,
    )


async def _place(rpc: Rpc, key: SigningKey, patience: float) -> tuple[Address, int]:
    """Deploy through the proxy, unless somebody has: the address and the block of it."""
    address = shared_address()
    if not await rpc.code(address):
        data = SALT + encode_constructor(CHANNELS)
        try:
            receipt = await send_now(rpc, key, deployment_proxy.PROXY, data, seconds=patience)
        except (Reverted, TransactionFailed):
            if not await rpc.code(address):  # else somebody was faster
                raise
        else:
            return address, receipt.block_number
    return address, await _first_block(rpc, address)


async def _create(rpc: Rpc, key: SigningKey, patience: float) -> tuple[Address, int]:
    """Deploy at an address of its own."""
    receipt = await send_now(rpc, key, None, encode_constructor(CHANNELS), seconds=patience)
    return _created(receipt), receipt.block_number


async def _first_block(rpc: Rpc, address: Address) -> int:
    """Find the block in which a contract was made, by halving.

    Where the node has forgotten a state it counts as there: better to read logs from too early on.
    """
    head = await rpc.block()
    low, high = 0, 0 if head is None else head.number
    while low < high:
        middle = (low + high) // 2
        try:
            there = bool(await rpc.code(address, middle))
        except NodeRefused:
            there = True
        low, high = (low, middle) if there else (middle + 1, high)
    return low


def _created(receipt: Receipt) -> Address:
    if receipt.contract is None:
        raise TransactionFailed(receipt.transaction)
    return receipt.contract
