"""A forge project beside the checkout: the contracts and some of their tests, built as one likes.

The checkout's own settings compile for deployment. Proofs want a syntax tree as well, mutants a quick
compiler; and what is changed for a mutant is changed in a copy.
"""

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = Path("contracts", "src")
TESTS = Path("tests", "contracts")

DEPLOYED = "via_ir = true\noptimizer = true\noptimizer_runs = 1_000_000"
"""How the contracts are compiled that get deployed."""

QUICK = """via_ir = true
optimizer = false
optimizer_details = { yul = true, yulDetails = { stackAllocation = true, optimizerSteps = "" } }"""
"""The least that the compiler can do: without the IR it runs out of stack."""

APART = """additional_compiler_profiles = [
    { name = "tests", via_ir = false, optimizer = true, optimizer_runs = 1 },
]
compilation_restrictions = [
    { paths = "tests/contracts/**", via_ir = false, optimizer_runs = 1 },
    { paths = "contracts/src/PaymentChannels.sol", via_ir = true },
]"""
"""Tests are compiled without the IR, which is quicker still."""


class CannotCheck(Exception):
    """A tool did not do its work, so nothing is known."""


def make_project(folder: Path, settings: Iterable[str], tests: Iterable[Path] = ()) -> None:
    """Copy the contracts and `tests` (paths from the checkout); `settings` go to the copy's foundry.toml."""
    modules = (ROOT / "node_modules").resolve()
    shutil.copytree(ROOT / SOURCES, folder / SOURCES)
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    for path in tests:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(ROOT / path, folder / path) if path.suffix == "" else shutil.copy(
            ROOT / path, folder / path
        )
    shutil.copy(ROOT / "remappings.txt", folder)
    (folder / "node_modules").symlink_to(modules)
    common = f"""[lint]
lint_on_build = false
[profile.default]
src = "{SOURCES}"
test = "{TESTS}"
script = "none"
out = "out"
libs = ["node_modules"]
allow_paths = ["node_modules", "{modules}"]
solc = "scripts/solc"
evm_version = "shanghai"
bytecode_hash = "none"
cbor_metadata = false
"""
    (folder / "foundry.toml").write_text(common + "\n".join(settings) + "\n")


def forge(
    folder: Path, *arguments: str, most_seconds: float | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run forge in the project; scripts/lib.sh has put it on the path."""
    return subprocess.run(
        ["forge", *arguments],  # noqa: S607
        cwd=folder,
        capture_output=True,
        check=False,
        text=True,
        timeout=most_seconds,
    )


def build(folder: Path) -> None:
    """Compile a project."""
    built = forge(folder, "build")
    if built.returncode != 0:
        raise CannotCheck(built.stdout + built.stderr)


def with_provers() -> dict[str, str]:
    """An environment in which halmos, its solver and slither are found; scripts/lib.sh has installed them."""
    path = os.pathsep.join([os.environ["TITHE_PROVERS"], os.environ["PATH"]])
    return {**os.environ, "PATH": path}


def replace_once(path: Path, old: str, new: str) -> None:
    """Replace what stands in a file exactly once."""
    text = path.read_text()
    if text.count(old) != 1:
        raise CannotCheck(f"{path.name} does not hold this exactly once: {old}")
    path.write_text(text.replace(old, new))
