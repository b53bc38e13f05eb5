"""Chains on this machine: Anvil or Ganache as a child process, or eth-tester inside this one.

All have the same rich accounts (`dev_keys`, the phrase everybody's local chains use). A child dies with its
parent; a detached one leaves a file by which it is found and stopped again. Clock, mining and gas money are
controlled through `warp`, `mine` and `give`, whatever the kind.

Anvil mines by the clock (`--block-time`): its automine slows down as the chain grows and can stall for ever
with several transactions of one account in flight. It also gets `--enable-tx-gas-limit`, the cap of real
chains (EIP-7825), and forgets states as a full node does: else it writes each block's to disk for ever.
"""

import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from payments.types import Address
from payments.vouchers import SigningKey
from settlement import tools
from settlement.children import spawn
from settlement.errors import LocalChainFailed
from settlement.files import write_atomic
from settlement.rpc import Rpc
from settlement.transactions import send_now
from settlement.wallet import key_from_phrase

if TYPE_CHECKING:
    from settlement.embedded_chain import EmbeddedProvider

DEV_PHRASE: Final = "test test test test test test test test test test test junk"
DEV_PATH: Final = "m/44'/60'/0'/0"
DEV_ACCOUNTS: Final = 10
LOCAL_CHAIN_ID: Final = 31_337
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 5.0
POLL_SECONDS: Final = 0.05
BLOCK_GAS: Final = 30_000_000
"""Least gas limit of a block. Each chain gets a little more of its own: so no two have the same genesis, and
we know our child from somebody else's chain that took the port."""
STATES: Final = 128
"""Blocks whose state Anvil remembers, as many as geth: blocks, receipts and logs it keeps all."""
ATTEMPTS: Final = 3
"""Tries to start on a free port: somebody else may take it between our look and the chain's."""
_children: Final[dict[int, subprocess.Popen[bytes]]] = {}


class ChainKind(StrEnum):
    """The local chains we know."""

    EMBEDDED = "embedded"
    ANVIL = "anvil"
    GANACHE = "ganache"


QUIET: Final = {
    ChainKind.EMBEDDED: [],
    ChainKind.ANVIL: ["--quiet"],
    ChainKind.GANACHE: ["--logging.quiet"],
}
"""Nobody reads what a chain prints, and it would grow for ever."""


@dataclass(frozen=True, slots=True)
class LocalChain:
    """A running Anvil or Ganache. `started` tells its process from a later one with the same id."""

    kind: ChainKind
    url: str
    pid: int
    started: str

    @classmethod
    def start(
        cls,
        kind: ChainKind,
        *,
        port: int = 0,
        block_time: float = 1.0,
        accounts: int = DEV_ACCOUNTS,
        detached: bool = False,
    ) -> "LocalChain":
        """Start a chain and wait until it answers; port 0 takes a free one. Blocks.

        `block_time`: seconds between blocks, 0 for a block a transaction. `detached`: it outlives this
        program. Raises ToolMissing or LocalChainFailed.
        """
        for _ in range(1 if port else ATTEMPTS):
            chosen = port or _free_port()
            gas_limit = BLOCK_GAS + secrets.randbelow(BLOCK_GAS // 100)
            command = _command(kind, chosen, block_time, accounts, gas_limit) + QUIET[kind]
            with tempfile.TemporaryFile() as output:
                child = spawn(command, output, detached=detached)
                if _answers(child, chosen, gas_limit):
                    _children[child.pid] = child
                    return cls(kind, f"http://127.0.0.1:{chosen}", child.pid, _started(child.pid))
                child.kill()
                child.wait()
                output.seek(0)
                said = output.read().decode(errors="replace").strip().splitlines()
        if _listens(chosen):
            raise LocalChainFailed(kind, f"port {chosen} is taken")
        raise LocalChainFailed(kind, said[-1] if said else "it does not answer")

    @classmethod
    def load(cls, path: Path) -> "LocalChain | None":
        """Find a detached chain by its file; None where there is no file or the process is gone."""
        try:
            known = json.loads(path.read_text())
            chain = cls(ChainKind(known["kind"]), known["url"], int(known["pid"]), known["started"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return chain if chain.alive else None

    def save(self, path: Path) -> None:
        """Write the file by which `load` finds this chain again."""
        write_atomic(path, json.dumps(asdict(self)).encode())

    @property
    def alive(self) -> bool:
        """Whether the process still runs (and is the one we started)."""
        child = _children.get(self.pid)
        return (child is None or child.poll() is None) and _started(self.pid) == self.started

    def stop(self) -> None:
        """End the process, by its id, and wait until it is gone. Stopping twice is harmless."""
        for end in (signal.SIGTERM, signal.SIGKILL):
            if self.alive:
                os.kill(self.pid, end)
            deadline = time.monotonic() + STOP_SECONDS
            while self.alive and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
        child = _children.pop(self.pid, None)
        if child is not None:
            child.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def embedded() -> "EmbeddedProvider":
    """A fresh embedded chain; its provider is the endpoint for `Rpc.open` and `Chain.connect`."""
    from settlement.embedded_chain import EmbeddedProvider  # noqa: PLC0415 - py-evm takes a second to load

    return EmbeddedProvider(DEV_PHRASE, DEV_PATH, DEV_ACCOUNTS)


def dev_keys(accounts: int = DEV_ACCOUNTS) -> list[SigningKey]:
    """Keys of the rich accounts. Everybody knows them: never for anything of value."""
    return [key_from_phrase(DEV_PHRASE, f"{DEV_PATH}/{index}") for index in range(accounts)]


async def mine(rpc: Rpc, blocks: int = 1) -> None:
    """Mine blocks on a local chain."""
    for _ in range(blocks):
        await rpc.request("evm_mine")


async def warp(rpc: Rpc, seconds: int) -> None:
    """Move a local chain's clock forward and mine a block at the new time."""
    head = await rpc.block()
    if await _kind(rpc) is ChainKind.EMBEDDED:
        now = max(int(time.time()), head.timestamp if head else 0)
        await rpc.request("testing_timeTravel", now + seconds)
        return
    await rpc.request("evm_increaseTime", seconds)
    await rpc.request("evm_mine")


async def give(rpc: Rpc, to: Address, wei: int) -> None:
    """Make gas money appear on a local chain."""
    kind = await _kind(rpc)
    if kind is ChainKind.EMBEDDED:
        await send_now(rpc, dev_keys(1)[0], to, value=wei)
        return
    method = "anvil_setBalance" if kind is ChainKind.ANVIL else "evm_setAccountBalance"
    await rpc.request(method, to, wei + await rpc.balance(to))


async def _kind(rpc: Rpc) -> ChainKind:
    client = (await rpc.client()).lower()
    for name, kind in {"anvil": ChainKind.ANVIL, "ganache": ChainKind.GANACHE}.items():
        if client.startswith(name):
            return kind
    if client.startswith("ethereumtester"):
        return ChainKind.EMBEDDED
    raise LocalChainFailed(client, "only Anvil, Ganache and the embedded chain can be controlled")


def _command(kind: ChainKind, port: int, block_time: float, accounts: int, gas_limit: int) -> list[str]:
    if kind is ChainKind.ANVIL:
        command = [*tools.foundry("anvil"), "--host", "127.0.0.1", "--port", str(port)]
        command += ["--chain-id", str(LOCAL_CHAIN_ID), "--mnemonic", DEV_PHRASE, "--accounts", str(accounts)]
        command += ["--enable-tx-gas-limit", "--gas-limit", str(gas_limit), "--prune-history", str(STATES)]
        return [*command, *(["--block-time", f"{block_time:g}"] if block_time else [])]
    if kind is ChainKind.GANACHE:
        command = [*tools.ganache(), "--server.host", "127.0.0.1", "--server.port", str(port)]
        command += ["--chain.chainId", str(LOCAL_CHAIN_ID), "--wallet.mnemonic", DEV_PHRASE]
        command += ["--wallet.totalAccounts", str(accounts), "--wallet.defaultBalance", "10000"]
        command += ["--miner.blockGasLimit", hex(gas_limit)]
        return [*command, "--miner.blockTime", f"{block_time:g}"]
    raise LocalChainFailed(kind, "it lives inside a program and cannot be started by itself")


def _answers(child: subprocess.Popen[bytes], port: int, gas_limit: int) -> bool:
    """Wait until the child answers JSON-RPC; False when it ends, takes too long, or somebody else answers."""
    question = json.dumps(
        {"jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": ["0x0", False]}
    )
    deadline = time.monotonic() + START_SECONDS
    while child.poll() is None and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
        try:
            connection.request("POST", "/", question, {"Content-Type": "application/json"})
            genesis = json.loads(connection.getresponse().read())["result"]
            return int(genesis["gasLimit"], 16) == gas_limit
        except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException):
            continue
        finally:
            connection.close()
    return False


def _listens(port: int) -> bool:
    """Whether anybody does, once our child is gone."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _started(pid: int) -> str:
    """When a process started, as the system says it; empty when there is none."""
    status = Path(f"/proc/{pid}/stat")
    if status.exists():
        fields = status.read_text().rpartition(")")[2].split()
        return "" if fields[0] == "Z" else fields[19]
    shown = subprocess.run(  # noqa: S603
        ["ps", "-o", "lstart=", "-p", str(pid)],  # noqa: S607 - wherever the system keeps it
        capture_output=True,
        text=True,
        check=False,
    )
    return shown.stdout.strip()
