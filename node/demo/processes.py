"""A farmer in a process of its own: `tithe farm run` with a TITHE_HOME of its own, ended by SIGKILL."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from node.demo.errors import StageCollapsed
from node.demo.offers import farmer_config
from node.home import Config, Home, create_private, make_private_directory, read_json, write_json
from node.identity import NodeKey
from payments.types import Address
from payments.vouchers import SigningKey
from settlement.children import spawn
from settlement.client import Chain
from settlement.wallet import LIGHT_SCRYPT_N, Wallets

PASSWORD: Final = "the demo's farmers have nothing to hide"  # noqa: S105 - of keys that live for a minute
START_SECONDS: Final = 90.0
POLL_SECONDS: Final = 0.05
_TITHE: Final = "from node.cli import main; main()"


class ProcessFarmer:
    """An Actor whose daemon is another process. It dies with this one, whatever happens."""

    def __init__(self, name: str, folder: Path, chain: Chain, payee: Address, gas_key: SigningKey) -> None:
        self.name = name
        self.payee = payee
        self._chain = chain
        self._home = Home(folder)
        self._password = folder / "password"
        self._log = folder / "farm.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.shards = self._home.farm_shards
        self.url = ""
        key = NodeKey(os.urandom(32))
        self.node = key.node
        self._set_up(key, gas_key)

    async def start(self) -> None:
        """Start the process and wait until it says where it listens. Raises StageCollapsed."""
        with self._log.open("ab") as log:
            self._process = spawn(self._command("farm", "run"), log, environment=self._environment())
        deadline = time.monotonic() + START_SECONDS
        while (url := self._announced(self._process.pid)) is None:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise StageCollapsed(f"{self.name} does not start: {self._last_words()}")
            await asyncio.sleep(POLL_SECONDS)
        self.url = url

    async def kill(self) -> None:
        """End the process by SIGKILL, in the middle of whatever it does."""
        if self._process is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)

    async def claim(self) -> None:
        """Run `tithe farm claim --all`: through the daemon where it lives, from its disk where it died.

        Raises StageCollapsed.
        """
        process = await asyncio.create_subprocess_exec(
            *self._command("farm", "claim", "--all"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment(),
        )
        _, complaint = await process.communicate()
        if process.returncode:
            raise StageCollapsed(f"{self.name} cannot claim: {complaint.decode().strip()}")

    def _announced(self, pid: int) -> str | None:
        """Where this process says that it listens; one that was killed has left its own words behind."""
        try:
            said = read_json(self._home.farm_running)
        except FileNotFoundError:
            return None
        return str(said["url"]) if said["pid"] == pid else None

    def _set_up(self, key: NodeKey, gas_key: SigningKey) -> None:
        """Do what `tithe farm init` does, with keys that cost no time to unlock."""
        record, home = self._chain.deployment, self._home
        chain_file = home.chain_file(record.name)
        make_private_directory(chain_file.parent)
        record.save(chain_file)
        home.save_config(Config(chain=record.name))
        create_private(home.farm_node_key, key.seed.hex().encode())
        create_private(self._password, PASSWORD.encode())
        gas = home.farm_gas_key
        Wallets(gas.parent).save(gas.stem, gas_key, PASSWORD, scrypt_n=LIGHT_SCRYPT_N)
        write_json(home.farm_config, farmer_config(self.payee, record).to_json())

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-P", "-c", _TITHE, *arguments, "--password-file", str(self._password)]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "TITHE_HOME": str(self._home.root)}

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it says nothing"
