"""The committed artifacts: what the sources give, and what every chain can run."""

import tomllib

import pytest
from web3 import Web3

import contracts
from tests.contracts.compiler import ROOT, deploy, load_script

NAMES = ["PaymentChannels", "StorageToken"]

PUSH1, PUSH32 = 0x60, 0x7F
SHANGHAI = {
    *range(0x0C),
    *range(0x10, 0x1E),
    0x20,
    *range(0x30, 0x49),
    *range(0x50, 0x5C),
    0x5F,
    *range(PUSH1, 0xA5),
    *range(0xF0, 0xF6),
    0xFA,
    *(0xFD, 0xFE, 0xFF),
}
"""All instructions up to that fork, INVALID among them. TLOAD, 0x5C, and MCOPY, 0x5E, came next."""


def instructions(code: bytes) -> set[int]:
    """List the distinct instructions of a contract, without the data of its pushes."""
    found, place = set(), 0
    while place < len(code):
        found.add(code[place])
        place += code[place] - PUSH1 + 2 if PUSH1 <= code[place] <= PUSH32 else 1
    return found


def test_compiling_the_sources_again_gives_the_committed_artifacts() -> None:
    built = load_script().compile_files(f"contracts/src/{name}.sol" for name in NAMES)
    assert sorted(built) == NAMES
    for name in NAMES:
        artifact = contracts.load(name)
        assert list(artifact.abi) == built[name]["abi"]
        assert "0x" + artifact.bytecode.hex() == built[name]["bytecode"]
        assert "0x" + artifact.runtime.hex() == built[name]["deployedBytecode"]
        assert [list(place) for place in artifact.immutables] == built[name]["immutableReferences"]
        assert artifact.compiler == built[name]["compiler"]


@pytest.mark.parametrize("name", NAMES)
def test_runtime_holds_no_instruction_newer_than_shanghai(name: str) -> None:
    assert instructions(contracts.load(name).runtime) <= SHANGHAI


@pytest.mark.parametrize("name", NAMES)
def test_contract_fits_the_limit_of_code_size(name: str) -> None:
    assert len(contracts.load(name).runtime) <= 24_576


def test_foundry_compiles_with_the_settings_of_the_artifacts() -> None:
    foundry = tomllib.loads((ROOT / "foundry.toml").read_text())["profile"]["default"]
    compiler = contracts.load("PaymentChannels").compiler
    assert compiler["version"] == "0.8.30+commit.73712a01"
    assert compiler["settings"] == {
        "evmVersion": foundry["evm_version"],
        "viaIR": foundry["via_ir"],
        "optimizer": {"enabled": foundry["optimizer"], "runs": foundry["optimizer_runs"]},
        "metadata": {"bytecodeHash": foundry["bytecode_hash"], "appendCBOR": foundry["cbor_metadata"]},
    }


def test_artifact_recognises_its_deployed_contract_only(tester: Web3) -> None:
    channels = deploy(tester, "PaymentChannels")
    token = deploy(tester, "StorageToken", tester.eth.accounts[0])
    artifact = contracts.load("PaymentChannels")
    assert artifact.matches(tester.eth.get_code(channels.address))
    assert not artifact.matches(tester.eth.get_code(token.address))
    assert not artifact.matches(b"")


def test_unknown_contract_has_no_artifact() -> None:
    with pytest.raises(FileNotFoundError):
        contracts.load("Ponzi")
