"""The scripts' set-up: what a machine lacks is said in one line, and the locks fit each other."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("cat", "cp", "dirname", "grep", "ln", "mkdir", "sh", "tail")


class Machine:
    """A checkout's scripts in a folder with a space, and a PATH with hardly anything on it."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "my checkout"
        self.programs = folder / "bin"
        shutil.copytree(ROOT / "scripts", self.checkout / "scripts")
        self.programs.mkdir()
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found is not None
            (self.programs / tool).symlink_to(found)

    def add_python(self, name: str, lines: str) -> None:
        program = self.programs / name
        program.write_text(f"#!/bin/sh\n{lines}\n")
        program.chmod(0o755)

    def demo(self, **variables: str) -> tuple[int, str]:
        """Exit code and standard error of `scripts/demo`, run from elsewhere."""
        done = subprocess.run(
            [self.checkout / "scripts" / "demo"],
            env={"PATH": str(self.programs), "HOME": str(self.checkout.parent), **variables},
            cwd=self.checkout.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout == ""
        return done.returncode, done.stderr


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_no_python_is_said_in_one_line(machine: Machine) -> None:
    assert machine.demo() == (
        1,
        "tithebarn: Python 3.11 or newer is needed, found none; install one, or name it in TITHE_PYTHON\n",
    )


def test_an_old_python_is_named(machine: Machine) -> None:
    machine.add_python("python3", 'if [ "$1" = --version ]; then echo Python 3.9.2; else exit 1; fi')
    code, said = machine.demo()
    assert code == 1
    assert said.count("\n") == 1
    assert "found Python 3.9.2" in said


def test_a_python_without_venv_is_told_apart(machine: Machine) -> None:
    machine.add_python(
        "python3.11", f'case "$*" in *"import venv"*) exit 1 ;; esac; exec "{sys.executable}" "$@"'
    )
    code, said = machine.demo()
    assert code == 1
    assert said.count("\n") == 1
    assert "no venv module" in said


def test_a_network_that_does_not_answer_is_named_and_nothing_counts_as_installed(machine: Machine) -> None:
    (machine.checkout / "requirements.lock").write_text("zfec==1.6.0.0 --hash=sha256:" + "0" * 64 + "\n")
    (machine.checkout / "pyproject.toml").touch()
    code, said = machine.demo(
        TITHE_PYTHON=sys.executable, PIP_INDEX_URL="http://127.0.0.1:9/simple", PIP_NO_CACHE_DIR="1"
    )
    assert code == 1
    assert [line.split(" ")[1] for line in said.splitlines()] == ["making", "installing", "installing"]
    assert "the network did not answer" in said
    assert not (machine.checkout / ".venv" / ".stamp-requirements.lock").exists()


def pins(lock: str) -> set[str]:
    return set(re.findall(r"^[a-zA-Z0-9_.\[\]-]+==[^ ]+", (ROOT / lock).read_text(), re.MULTILINE))


def test_what_is_tested_is_what_runs() -> None:
    assert pins("requirements.lock") < pins("requirements-dev.lock")
    assert len(pins("requirements-node.lock")) == 1


@pytest.mark.parametrize("lock", sorted(path.name for path in ROOT.glob("requirements*.lock")))
def test_every_locked_package_has_hashes(lock: str) -> None:
    blocks = re.split(r"^(?=[a-zA-Z])", (ROOT / lock).read_text(), flags=re.MULTILINE)[1:]
    assert blocks
    assert all("--hash=sha256:" in block for block in blocks)
    assert "://" not in (ROOT / lock).read_text()


def test_the_npm_lock_names_no_registry_and_knows_every_platform() -> None:
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    assert not any("resolved" in entry for entry in packages.values())
    for tool in ("anvil", "cast", "forge"):
        wanted = packages[f"node_modules/@foundry-rs/{tool}"]["optionalDependencies"]
        assert all(f"node_modules/{name}" in packages for name in wanted)


@pytest.mark.parametrize("script", ["bench_gas", "check", "demo", "lock", "setup", "test", "../.ci/run"])
def test_scripts_can_be_run(script: str) -> None:
    path = ROOT / "scripts" / script
    assert os.access(path, os.X_OK)
    subprocess.run(["/bin/sh", "-n", path], check=True)
