"""Peers' packages: fetched from PyPI and npm by name, version and hash into a folder, never installed.

Only the compiled contracts inside them are read; none of their code runs here, and nothing of theirs is
kept in this repository.
"""

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from payments.types import Address
from scripts.gas.bench import Bench, arguments_of

FOLDER: Final = Path(__file__).resolve().parents[2] / ".venv" / "peers"
UNLINKED: Final = "__"


class PeerMissing(Exception):
    """A peer's package could not be fetched, or is not the one that is expected."""

    def __init__(self, package: "Package", reason: str) -> None:
        super().__init__(f"{package}: {reason} (--no-peers measures without them)")
        self.package = package


@dataclass(frozen=True, slots=True)
class Package:
    """A file of a registry; `sha256` of the whole file, in hex."""

    registry: str
    name: str
    version: str
    file: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} from {self.registry}"

    @property
    def path(self) -> Path:
        """Where it is once fetched."""
        return FOLDER / self.file

    def fetch(self) -> None:
        """Fetch it unless it is here; raises PeerMissing."""
        if not self.path.exists():
            print(f"fetching {self} into {FOLDER} ...", file=sys.stderr)
            FOLDER.mkdir(parents=True, exist_ok=True)
            self._pip() if self.registry == "PyPI" else self._npm()
        found = hashlib.sha256(self.path.read_bytes()).hexdigest()
        if found != self.sha256:
            raise PeerMissing(self, f"{self.path} has the SHA-256 {found}, expected {self.sha256}")

    def read(self, member: str) -> Any:  # noqa: ANN401 - JSON
        """Read a JSON file inside the package."""
        if self.path.suffix == ".whl":
            with zipfile.ZipFile(self.path) as wheel:
                return json.loads(wheel.read(member))
        with tarfile.open(self.path) as archive:
            found = archive.extractfile(member)
            if found is None:
                raise PeerMissing(self, f"{member} is no file in it")
            return json.loads(found.read())

    def _pip(self) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as wanted:
            wanted.write(f"{self.name}=={self.version} --hash=sha256:{self.sha256}\n")
            wanted.flush()
            pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download"]
            self._run([*pip, "--no-deps", "--require-hashes", "--dest", str(FOLDER), "-r", wanted.name])

    def _npm(self) -> None:
        spec = f"{self.name}@{self.version}"
        self._run(["npm", "pack", "--ignore-scripts", "--pack-destination", str(FOLDER), spec])

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0 or not self.path.exists():
            said = (done.stderr or done.stdout).strip().splitlines()
            raise PeerMissing(self, said[-1] if said else f"{command[0]} brought no {self.file}")


def creation_code(bytecode: str, constructor: str = "()", *arguments: object) -> bytes:
    """Creation code with its constructor's arguments; `constructor` is their types, `(address,uint32)`."""
    if UNLINKED in bytecode:
        raise ValueError("the bytecode wants a library linked into it")
    return bytes.fromhex(bytecode.removeprefix("0x")) + arguments_of(constructor, *arguments)


async def deploy(bench: Bench, bytecode: str, constructor: str = "()", *arguments: object) -> Address:
    """Deploy a peer's contract from the hex its package holds."""
    return await bench.create(creation_code(bytecode, constructor, *arguments))
