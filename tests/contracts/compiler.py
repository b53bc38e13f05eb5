"""scripts/compile_contracts as a module, and deploying what it or the artifacts give through web3.py."""

import importlib.machinery
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from web3 import Web3
from web3.contract import Contract

import contracts

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "compile_contracts"


def load_script() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("compile_contracts", str(SCRIPT))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def deploy(web3: Web3, name: str, *arguments: object) -> Contract:
    artifact = contracts.load(name)
    return deploy_code(web3, artifact.abi, artifact.bytecode, *arguments)


def deploy_code(web3: Web3, abi: Sequence[Any], bytecode: bytes | str, *arguments: object) -> Contract:
    factory = web3.eth.contract(abi=abi, bytecode=bytecode)
    sent = factory.constructor(*arguments).transact({"from": web3.eth.accounts[0]})
    return factory(web3.eth.wait_for_transaction_receipt(sent)["contractAddress"])
