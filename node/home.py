"""TITHE_HOME: the one directory that holds everything a person keeps on this machine.

    config.json                         which chain and wallet commands use when none is named
    chains/<name>.json                  deployments; past/<name>-<deployment>.json of those that are gone
    wallets/<name>.json                 keystores
    local-chain.json                    the running `tithe chain up`, while it runs
    renter/node.key signer.json master.key account.json  and <deployment>/money.db stats.db copies/
    renter/limits.json                  what its owner lets farmers ask at most
    farm/node.key gas.json config.json shards/ running.json  and <deployment>/money.db stats.db
    tower/node.key gas.json                     and <deployment>/money.db

`deployment` is `Deployment.folder`, made of genesis hash and contract: a restarted local chain has the same
id and addresses but is another chain, and two contracts on one chain hold other money. Directories are 0700,
files 0600, and a file is whole or absent: written beside, fsynced, renamed.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from node.errors import AlreadyThere, BadName, DamagedFile, DirectoryRefused
from settlement.files import write_atomic

VARIABLE = "TITHE_HOME"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
COPIES = "copies"
_PRIVATE_DIRECTORY = 0o700


@dataclass(frozen=True, slots=True)
class State:
    """What a node keeps for one deployment: money (never lose it), statistics (may be lost), empty locks.

    copies: the folder of the newest copies of `money`.
    """

    money: Path
    stats: Path
    locks: Path
    copies: Path


@dataclass(frozen=True, slots=True)
class Config:
    """What commands assume when the user names nothing. All fields are optional names."""

    chain: str | None = None
    wallet: str | None = None


@dataclass(frozen=True, slots=True)
class Home:
    """The layout below `root`. Paths only; a directory comes into being when something is written into it."""

    root: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Take TITHE_HOME, or `~/.tithe` where it is unset or empty."""
        named = environment.get(VARIABLE)
        return cls(Path(named).expanduser().absolute() if named else Path.home() / ".tithe")

    @property
    def config_file(self) -> Path:
        """Defaults of the command line."""
        return self.root / "config.json"

    @property
    def local_chain_file(self) -> Path:
        """Process id, URL and kind of the local chain that `tithe chain up` runs."""
        return self.root / "local-chain.json"

    @property
    def renter_node_key(self) -> Path:
        """Ed25519 seed: the renter's identity."""
        return self.root / "renter" / "node.key"

    @property
    def renter_signer(self) -> Path:
        """Keystore of the key that signs vouchers and agreements."""
        return self.root / "renter" / "signer.json"

    @property
    def renter_master_key(self) -> Path:
        """The sealed key that wraps all file keys."""
        return self.root / "renter" / "master.key"

    @property
    def renter_account(self) -> Path:
        """Which account's recovery phrase gives the renter's keys back."""
        return self.root / "renter" / "account.json"

    @property
    def renter_limits(self) -> Path:
        """What the renter's owner lets farmers ask at most, where that is not the usual."""
        return self.root / "renter" / "limits.json"

    @property
    def farm_node_key(self) -> Path:
        """Ed25519 seed: the farmer's identity."""
        return self.root / "farm" / "node.key"

    @property
    def farm_gas_key(self) -> Path:
        """Keystore of the key that pays for the farmer's transactions."""
        return self.root / "farm" / "gas.json"

    @property
    def farm_config(self) -> Path:
        """Prices, limits, payee and address of the farmer."""
        return self.root / "farm" / "config.json"

    @property
    def farm_running(self) -> Path:
        """Where the farmer's daemon listens, while it runs."""
        return self.root / "farm" / "running.json"

    @property
    def farm_shards(self) -> Path:
        """What the farmer stores for others."""
        return self.root / "farm" / "shards"

    @property
    def tower_node_key(self) -> Path:
        """Ed25519 seed: the watchtower's identity."""
        return self.root / "tower" / "node.key"

    @property
    def tower_gas_key(self) -> Path:
        """Keystore of the key that pays for the watchtower's claims."""
        return self.root / "tower" / "gas.json"

    @property
    def wallets(self) -> Path:
        """The folder of keystores, one `<name>.json` each."""
        return self.root / "wallets"

    def chain_file(self, name: str) -> Path:
        """Return the place of a deployment record. Raises BadName."""
        return self.root / "chains" / f"{check_name('chain', name)}.json"

    def chain_names(self) -> list[str]:
        """Name every recorded deployment, sorted."""
        return _names(self.root / "chains")

    def wallet_names(self) -> list[str]:
        """Name every wallet, sorted."""
        return _names(self.wallets)

    def renter_state(self, deployment: str) -> State:
        """Make and return the place of the renter's databases for the deployment with this folder."""
        return _state(self.root / "renter" / deployment)

    def farm_state(self, deployment: str) -> State:
        """Make and return the place of the farmer's databases for the deployment with this folder."""
        return _state(self.root / "farm" / deployment)

    def tower_state(self, deployment: str) -> State:
        """Make and return the place of the watchtower's database for the deployment with this folder."""
        return _state(self.root / "tower" / deployment)

    def config(self) -> Config:
        """Read the defaults; an absent file is all defaults. Raises DamagedFile."""
        try:
            stored = read_json(self.config_file)
        except FileNotFoundError:
            return Config()
        known = {field.name for field in fields(Config)}
        if unknown := set(stored) - known:
            raise DamagedFile(self.config_file, f"unknown entry {min(unknown)!r}")
        for key, value in stored.items():
            if not (value is None or (isinstance(value, str) and _NAME.fullmatch(value))):
                raise DamagedFile(self.config_file, f"{key} is not a name")
        return Config(**stored)

    def save_config(self, config: Config) -> None:
        """Replace the defaults."""
        write_json(self.config_file, asdict(config))

    def keep_past_chain(self, name: str, deployment: str) -> Path:
        """Move the record of a deployment that is gone; return its new place, named after its folder."""
        directory = make_private_directory(self.root / "chains" / "past")
        past = directory / f"{name}-{deployment}.json"
        self.chain_file(name).replace(past)
        return past


def check_name(kind: str, name: str) -> str:
    """Return a name that is safe as a file name. Raises BadName."""
    if not _NAME.fullmatch(name):
        raise BadName(kind, name)
    return name


def make_private_directory(path: Path) -> Path:
    """Make a directory and its parents, readable by the owner only; one that exists keeps its mode.

    Raises DirectoryRefused when the system does not allow it.
    """
    missing = [parent for parent in (path, *path.parents) if not parent.exists()]
    try:
        for parent in reversed(missing):
            parent.mkdir(mode=_PRIVATE_DIRECTORY, exist_ok=True)
    except OSError as error:
        raise DirectoryRefused(path, error.strerror or str(error)) from error
    if not path.is_dir():
        raise DirectoryRefused(path, "a file is in its place")
    return path


def write_private(path: Path, data: bytes) -> None:
    """Put `data` at `path` (0600), whole or not at all, durable on return. Raises DirectoryRefused."""
    _write(path, data, exclusive=False)


def create_private(path: Path, data: bytes) -> None:
    """As write_private, but never over something that exists: keys are not replaced. Raises AlreadyThere."""
    _write(path, data, exclusive=True)


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """Write a JSON file for people to read and programs to parse, as write_private does."""
    write_private(path, json.dumps(value, indent=2).encode() + b"\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises FileNotFoundError, or DamagedFile when it is anything else."""
    try:
        value = json.loads(path.read_bytes())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DamagedFile(path, "not JSON") from error
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedFile(path, error.strerror or str(error)) from error
    if not isinstance(value, dict):
        raise DamagedFile(path, "not a JSON object")
    return value


def _state(folder: Path) -> State:
    directory = make_private_directory(folder)
    return State(directory / "money.db", directory / "stats.db", directory / "locks", directory / COPIES)


def _names(directory: Path) -> list[str]:
    if not directory.is_dir():
        return []
    return sorted(file.stem for file in directory.glob("*.json") if _NAME.fullmatch(file.stem))


def _write(path: Path, data: bytes, *, exclusive: bool) -> None:
    directory = make_private_directory(path.parent)
    try:
        write_atomic(path, data, exclusive=exclusive)
    except FileExistsError as error:
        raise AlreadyThere(path) from error
    except OSError as error:
        raise DirectoryRefused(directory, error.strerror or str(error)) from error
