"""scripts/compile_contracts as a module, and deploying what it or the artifacts give through web3.py.

The tests' own contracts take the compiler half a minute: the first process that wants one compiles them
all and keeps them in cache/ until a source changes.
"""

import fcntl
import hashlib
import importlib.machinery
import importlib.util
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from web3 import Web3
from web3.contract import Contract

import contracts

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "compile_contracts"
CACHE = ROOT / "cache" / "test-contracts"
SUPPORT = ("Accounts", "MessageHashesHarness", "Permit2Code", "ProofsHarness", "Tokens")
"""The files of tests/contracts/support whose contracts are deployed from Python."""


def load_script() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("compile_contracts", str(SCRIPT))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@cache
def compile_support() -> dict[str, Any]:
    """Artifacts of the contracts in SUPPORT by name."""
    script, files = load_script(), [f"tests/contracts/support/{name}.sol" for name in SUPPORT]
    version = (ROOT / "node_modules" / "solc" / "package.json").read_text()
    question = json.dumps([script.read_sources(files), script.SETTINGS, version])
    CACHE.mkdir(parents=True, exist_ok=True)
    kept = CACHE / f"{hashlib.sha256(question.encode()).hexdigest()}.json"
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            whole = kept.with_suffix(".part")
            whole.write_text(json.dumps(script.compile_files(files)))
            whole.rename(kept)
    found: dict[str, Any] = json.loads(kept.read_text())
    return found


def deploy(web3: Web3, name: str, *arguments: object) -> Contract:
    artifact = contracts.load(name)
    return deploy_code(web3, artifact.abi, artifact.bytecode, *arguments)


def deploy_code(web3: Web3, abi: Sequence[Any], bytecode: bytes | str, *arguments: object) -> Contract:
    factory = web3.eth.contract(abi=abi, bytecode=bytecode)
    sent = factory.constructor(*arguments).transact({"from": web3.eth.accounts[0]})
    return factory(web3.eth.wait_for_transaction_receipt(sent)["contractAddress"])
