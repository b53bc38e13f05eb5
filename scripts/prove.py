"""Is the contract right for all inputs? Runs halmos on tests/contracts/symbolic, over the deployed bytecode.

    scripts/prove                    every proof
    scripts/prove NAME               those with NAME, a regular expression, in their name
    scripts/prove --mutants [NAME]   break the contract (scripts/faults.py), see each proof fail

One thing differs from what is deployed: SHA-256 is asked at another address, where each proof puts a
function of which it knows little. halmos fails at the precompile.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from faults import FAULTS, Fault
from side_project import (
    APART,
    DEPLOYED,
    SOURCES,
    TESTS,
    CannotCheck,
    build,
    make_project,
    replace_once,
    with_provers,
)

PROOFS = (TESTS / "symbolic", TESTS / "support" / "Vm.sol")
FOR_HALMOS = 'ast = true\nextra_output = ["storageLayout", "metadata"]'
HASH_CALL = ("staticcall(gas(), 2,", "staticcall(gas(), 0x5ba256,")
LOOPS = 64
"""How often a loop may go round whose end depends on unknown values. The longest has 48 rounds."""

PASS, COUNTEREXAMPLE = 0, 1  # halmos's exit codes of one proof; others are a time-out, a fault of its own


@dataclass(frozen=True)
class Outcome:
    """What halmos says of one proof."""

    name: str
    code: int
    paths: int
    seconds: float


def run_halmos(folder: Path, names: str, *more: str) -> list[Outcome]:
    """Run the proofs whose names match in a built project; `more` options go to halmos."""
    answer = folder / "halmos.json"
    answer.unlink(missing_ok=True)
    options = {
        "--match-contract": "Proof$",
        "--match-test": f"^check_.*({names})",
        "--loop": str(LOOPS),
        "--solver": "yices",
        "--solver-timeout-assertion": "600s",
        "--json-output": str(answer),
    }
    command = [
        "halmos",
        "--root",
        str(folder),
        "--no-status",
        *more,
        *(part for it in options.items() for part in it),
    ]
    ran = subprocess.run(
        command,
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        env={**with_provers(), "HALMOS_ALLOW_DOWNLOAD": "0"},
    )
    if not answer.exists():
        raise CannotCheck(ran.stdout + ran.stderr)
    tests = [test for them in json.loads(answer.read_text())["test_results"].values() for test in them]
    if any(test["num_bounded_loops"] for test in tests):
        raise CannotCheck(f"a loop went round more than {LOOPS} times\n{ran.stdout}")
    if any(test["exitcode"] not in {PASS, COUNTEREXAMPLE} for test in tests):
        print(ran.stdout, file=sys.stderr)
    return [
        Outcome(test["name"].partition("(")[0], test["exitcode"], test["num_paths"][0], test["time"][0])
        for test in tests
    ]


def check_proofs(folder: Path, names: str) -> bool:
    """Run the proofs."""
    build(folder)
    outcomes = run_halmos(folder, names)
    if not outcomes:
        raise CannotCheck(f"no proof is called {names}")
    for it in outcomes:
        verdict = {PASS: "proven", COUNTEREXAMPLE: "REFUTED"}.get(it.code, "NOT DECIDED")
        print(f"{it.name}: {verdict}, {it.paths} paths, {it.seconds:.0f} s")
    return all(it.code == PASS for it in outcomes)


def check_mutants(folder: Path, names: str) -> bool:
    """See each proof fail on a contract with a fault made for it."""
    unbroken = []
    for fault in FAULTS:
        wanted = [name for name in fault.breaks if re.search(names, name)]
        if not wanted:
            continue
        began = time.monotonic()
        with broken(folder / SOURCES / fault.file, fault):
            build(folder)
            outcomes = [
                it
                for name in wanted
                for it in run_halmos(folder, f"{name.removeprefix('check_')}[(]", "--early-exit")
            ]
        seen = {it.name for it in outcomes if it.code == COUNTEREXAMPLE}
        for name in wanted:
            print(f"{fault.name}: {name} {'is refuted' if name in seen else 'DOES NOT NOTICE'}")
            unbroken += [] if name in seen else [name]
        print(f"  {time.monotonic() - began:.0f} s", flush=True)
    return not unbroken


@contextmanager
def broken(path: Path, fault: Fault) -> Iterator[None]:
    """A source file with a fault in it, for as long as the block lasts."""
    sound = path.read_text()
    replace_once(path, fault.sound, fault.fault)
    yield
    path.write_text(sound)


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "name", nargs="?", default="", help="only proofs whose name matches, a regular expression"
    )
    parser.add_argument("--mutants", action="store_true", help="see the proofs fail on faults made for them")
    options = parser.parse_args()
    check = check_mutants if options.mutants else check_proofs
    with tempfile.TemporaryDirectory(prefix="prove-") as name:
        folder = Path(name).resolve()
        make_project(folder, (DEPLOYED, APART, FOR_HALMOS), PROOFS)
        replace_once(folder / SOURCES / "Proofs.sol", *HASH_CALL)
        try:
            return 0 if check(folder, options.name) else 1
        except CannotCheck as reason:
            print(f"could not check: {reason}", file=sys.stderr)
            return 1


if __name__ == "__main__":
    sys.exit(main())
