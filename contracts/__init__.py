"""The compiled contracts: the one reader of `contracts/artifacts`.

Artifacts are written by `scripts/compile_contracts` from `contracts/src` and committed, so that nothing but
Python is needed to deploy. The same bytes run on eth-tester, Anvil, Ganache and any Shanghai chain.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ARTIFACTS = Path(__file__).parent / "artifacts"


@dataclass(frozen=True, slots=True)
class Artifact:
    """One compiled contract.

    `abi` is the JSON ABI as web3.py takes it, `bytecode` the creation code without constructor arguments,
    `runtime` the code on chain with zeros where immutable values are written at deployment (`immutables`: the
    start and length of each).
    """

    name: str
    abi: tuple[dict[str, Any], ...]
    bytecode: bytes
    runtime: bytes
    immutables: tuple[tuple[int, int], ...]
    compiler: dict[str, Any]

    def matches(self, code: bytes) -> bool:
        """Whether `code`, read from a chain, is this contract, whatever its immutable values are."""
        masked = bytearray(code)
        for start, length in self.immutables:
            masked[start : start + length] = bytes(length)
        return bytes(masked) == self.runtime


@cache
def load(name: str) -> Artifact:
    """Return the artifact of a contract by its name; raise FileNotFoundError where there is none."""
    raw = json.loads((ARTIFACTS / f"{name}.json").read_text(encoding="utf-8"))
    return Artifact(
        name=raw["name"],
        abi=tuple(raw["abi"]),
        bytecode=bytes.fromhex(raw["bytecode"].removeprefix("0x")),
        runtime=bytes.fromhex(raw["deployedBytecode"].removeprefix("0x")),
        immutables=tuple((start, length) for start, length in raw["immutableReferences"]),
        compiler=raw["compiler"],
    )
