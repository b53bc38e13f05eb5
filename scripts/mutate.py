"""How good are the contracts' tests? Puts a small fault into the contracts and hopes that a test fails.

    scripts/mutate                      every mutant, about an hour
    scripts/mutate --match "Claims.sol" those whose name holds the text
    scripts/mutate --list               say what they are, run none
    scripts/mutate --json FILE          write what became of each, one a line; what has a line already
                                        is not run again while contracts and tests are the same

A mutant that no test notices has to be argued in docs/mutation.md, by its name; otherwise the run fails. The
walks of Invariants.t.sol are left out: they would take hours.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, replace
from hashlib import sha256
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

from mutants import MAGIC, SWITCH, YUL_SWITCH, Mutant, Place, find_constants, find_places, instrument
from side_project import APART, QUICK, ROOT, SOURCES, TESTS, forge, make_project

ARGUED = ROOT / "docs" / "mutation.md"
UNTOUCHED = {"IPaymentChannels.sol", "Authorizers.sol"}  # interfaces
LONGEST = 10
"""A run of the tests may take so many times as long as the one without any fault, or it never ends."""

SETTINGS = (QUICK, APART, "gas_limit = 2_000_000_000", 'fuzz = { runs = 16, seed = "0x7469746865" }')
LEFT_OUT = ("Invariants.t.sol", *(path.name for path in (ROOT / TESTS / "symbolic").iterdir()))


class DoesNotCompile(Exception):
    """The sources as they stand, without any fault, are refused by the compiler."""


class Record:
    """What became of each mutant so far: a file of one JSON object a line, or none at all."""

    def __init__(self, path: Path | None, sources: str) -> None:
        """Read what an earlier run on the same sources has written; what it found on others is left out."""
        self._path, self._sources = path, sources
        lines = path.read_text().splitlines() if path and path.exists() else []
        found = [json.loads(line) for line in lines if line.endswith("}")]  # the last may be cut
        self.results = [it for it in found if it["sources"] == sources]
        self.add(*self.results, anew=True)

    def add(self, *results: dict[str, Any], anew: bool = False) -> None:
        """Write results behind the others; `anew`: in place of all that stands there."""
        if self._path:
            with self._path.open("w" if anew else "a") as file:
                file.writelines(json.dumps({**it, "sources": self._sources}) + "\n" for it in results)
        self.results += [] if anew else results


def digest_sources() -> str:
    """Names contracts, tests and rules as they stand: what a mutant's fate depends on."""
    files = [path for folder in (SOURCES, TESTS) for path in sorted((ROOT / folder).rglob("*.sol"))]
    files += [ROOT / "scripts" / name for name in ("mutants.py", "mutate.py")]
    return sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()


def load_compile_contracts() -> ModuleType:
    """The script beside this one, which knows what the contracts import."""
    path = ROOT / "scripts" / "compile_contracts"
    loader = SourceFileLoader(path.name, str(path))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None  # noqa: S101 -- a loader was given
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def ask_solc(folder: Path, wanted: list[str]) -> dict[str, Any]:
    """Let the compiler read the contracts; `wanted` names what it says of each file."""
    files = [(SOURCES / path.name).as_posix() for path in (folder / SOURCES).iterdir()]
    question = {
        "language": "Solidity",
        "sources": load_compile_contracts().read_sources(files, folder),
        "settings": {"evmVersion": "shanghai", "viaIR": True, "outputSelection": {"*": {"": wanted}}},
    }
    run = subprocess.run(
        [folder / "scripts" / "solc", "--standard-json"],
        input=json.dumps(question),
        capture_output=True,
        check=True,
        text=True,
    )
    answer: dict[str, Any] = json.loads(run.stdout)
    return answer


def write_mutants(folder: Path) -> list[Mutant]:
    """Put every fault into the contracts of `folder`; number n is the n-th, from 1."""
    answer = ask_solc(folder, ["ast"])
    trees = {name: it["ast"] for name, it in answer["sources"].items() if name.startswith(SOURCES.as_posix())}
    constants = find_constants({name: it["ast"] for name, it in answer["sources"].items()})
    texts = {name: (folder / name).read_bytes() for name in trees if Path(name).name not in UNTOUCHED}
    (folder / SOURCES / "Mutant.sol").write_text(SWITCH)
    mutants: list[Mutant] = []
    for name, text in texts.items():
        places = find_places(trees[name], text, constants)
        changed, numbered = instrument(text, places, len(mutants) + 1)
        (folder / name).write_bytes(with_switch(changed))
        mutants += [describe(name, text, *it) for it in numbered]
    return number_alike(mutants)


def number_alike(mutants: list[Mutant]) -> list[Mutant]:
    """Tell mutants apart whose names would be the same."""
    seen: Counter[str] = Counter()
    numbered = []
    for mutant in mutants:
        seen[mutant.name] += 1
        numbered.append(replace(mutant, number=seen[mutant.name]))
    return numbered


def with_switch(source: bytes) -> bytes:
    """Let a file call `mutant()`, and each block of assembly `mutant_()`."""
    at = source.index(b";", source.index(b"pragma")) + 1
    source = source[:at] + b'\nimport {mutant} from "./Mutant.sol";' + source[at:]
    opening = rb'assembly \("memory-safe"\) \{'
    return re.sub(opening, lambda found: found.group() + YUL_SWITCH.encode(), source)


def describe(name: str, source: bytes, place: Place, rule: str, fault: str) -> Mutant:
    """Tell of a fault what a reader wants to know."""
    sound = " ".join(source[place.start : place.end].decode().split())
    line = source.count(b"\n", 0, place.start) + 1
    return Mutant(Path(name).name, place.function, line, rule, sound, fault)


class Project:
    """A forge project with all mutants in it, of which one at a time is chosen."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._most_seconds: float | None = None
        built = forge(folder, "build")
        if built.returncode != 0:
            raise DoesNotCompile(built.stdout + built.stderr)
        magic = MAGIC.hex()
        artifacts = {path: path.read_text() for path in (folder / "out").rglob("*.json")}
        self._artifacts = {path: text for path, text in artifacts.items() if magic in text}
        deployed = json.loads(artifacts[folder / "out" / "PaymentChannels.sol" / "PaymentChannels.json"])
        if magic not in deployed["deployedBytecode"]["object"]:
            raise DoesNotCompile("the switch between mutants is not found in the bytecode")
        began = time.monotonic()
        killer = self.find_killer(0)
        if killer:
            raise DoesNotCompile(f"without any fault {killer} fails")
        self._most_seconds = LONGEST * (time.monotonic() - began)

    def find_killer(self, number: int) -> str:
        """The test that fails when mutant `number` runs, or nothing. Zero is none of them."""
        for path, text in self._artifacts.items():
            path.write_text(text.replace(MAGIC.hex(), f"{number:064x}"))
        shutil.rmtree(
            self._folder / "cache" / "fuzz", ignore_errors=True
        )  # inputs that killed another mutant
        try:
            tested = forge(self._folder, "test", "--fail-fast", most_seconds=self._most_seconds)
        except subprocess.TimeoutExpired:
            return "it never ends"
        if tested.returncode == 0:
            return ""
        failed = re.search(r"\[FAIL.*?\] (\w+)\(", tested.stdout)
        return failed.group(1) if failed else tested.stdout[-200:] + tested.stderr[-200:]


def run(folder: Path, mutants: list[Mutant], wanted: str, record: Record) -> list[dict[str, Any]]:
    """Run the tests against each wanted mutant that has no record yet, saying what became of it."""
    project = Project(folder)
    known = {it["name"] for it in record.results}
    for number, mutant in enumerate(mutants, 1):
        if wanted not in mutant.name or mutant.name in known:
            continue
        began = time.monotonic()
        killer = project.find_killer(number)
        record.add({**asdict(mutant), "name": mutant.name, "killer": killer})
        fate = f"killed by {killer}" if killer else "SURVIVED"
        print(
            f"{number}: {mutant.name} ({mutant.rule}, line {mutant.line}): {fate},",
            f"{time.monotonic() - began:.1f} s",
            flush=True,
        )
    return [it for it in record.results if wanted in it["name"]]


def report(results: list[dict[str, Any]]) -> int:
    """Print the figures and what is not argued; return how many are not."""
    survivors = [it for it in results if not it["killer"]]
    argued = ARGUED.read_text() if ARGUED.exists() else ""
    unargued = [it for it in survivors if f"`{it['name']}`" not in argued]
    total = Counter(it["file"] for it in results)
    alive = Counter(it["file"] for it in survivors)
    for name in sorted(total):
        print(f"{name}: {total[name] - alive[name]} of {total[name]} killed")
    print(
        f"{len(results)} mutants, {len(results) - len(survivors)} killed, {len(survivors)} survived", end=""
    )
    print(f", {len(unargued)} of them not argued in {ARGUED.relative_to(ROOT)}")
    for it in unargued:
        print(f"not argued, line {it['line']}: `{it['name']}`")
    return len(unargued)


def main() -> int:
    """Make the mutants, and run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--match", default="", metavar="TEXT", help="only mutants whose name holds the text")
    parser.add_argument("--list", action="store_true", help="say what they are, run none")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what became of each")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        folder = Path(name).resolve()
        make_project(folder, SETTINGS, [TESTS])
        for left_out in LEFT_OUT:
            next((folder / TESTS).rglob(left_out)).unlink()
        mutants = write_mutants(folder)
        if options.list:
            for mutant in mutants:
                if options.match in mutant.name:
                    print(f"{mutant.name} ({mutant.rule}, line {mutant.line})")
            return 0
        results = run(folder, mutants, options.match, Record(options.json, digest_sources()))
    return 1 if report(results) else 0


if __name__ == "__main__":
    sys.exit(main())
