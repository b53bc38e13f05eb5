"""What our operations cost on Anvil, held against committed figures, by the benchmark that measures it."""

import json
import subprocess
import sys
from pathlib import Path

from scripts.gas import snapshot
from scripts.gas.goals import GOALS

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench_gas.py"
REFRESH = "if that is meant: scripts/bench_gas --no-peers --no-chart --snapshot"


def test_benchmark_measures_every_operation_within_two_percent_of_the_committed_gas(tmp_path: Path) -> None:
    figures = tmp_path / "gas.json"
    sizes = ",".join(map(str, snapshot.SIZES))
    ran = subprocess.run(
        [sys.executable, SCRIPT, "--no-peers", "--no-chart", "--sizes", sizes, "--json", figures],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert all(goal.title in ran.stdout for goal in GOALS)
    written = json.loads(figures.read_text())
    measured = {
        f"{one['operation']} {one['n']}": one["gas_per_unit"]
        for one in written
        if one["method"] == "measured"
    }
    assert snapshot.drift(snapshot.load(), measured) == [], REFRESH
    assert {one["system"] for one in written if one["method"] == "measured"} == {"tithebarn"}
    assert {"x402", "swarm"} <= {one["system"] for one in written if one["method"] == "cited"}


def test_drift_allows_two_percent_either_way() -> None:
    assert snapshot.drift({"claim 1": 50_000}, {"claim 1": 51_000}) == []
    assert snapshot.drift({"claim 1": 50_000}, {"claim 1": 49_000}) == []


def test_drift_names_what_became_dearer_or_cheaper_by_more_than_two_percent() -> None:
    committed = {"claim 1": 50_000, "push 1": 40_000, "sweep 1": 50_000}
    measured = {"claim 1": 51_001, "push 1": 39_199, "sweep 1": 50_001}
    assert snapshot.drift(committed, measured) == [
        "claim 1: 50,000 committed, 51,001 measured",
        "push 1: 40,000 committed, 39,199 measured",
    ]


def test_drift_names_operations_on_one_side_only() -> None:
    assert snapshot.drift({"claim 1": 1}, {"push 1": 2}) == [
        "claim 1: 1 committed, 0 measured",
        "push 1: 0 committed, 2 measured",
    ]
