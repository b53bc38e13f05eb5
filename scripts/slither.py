"""What slither finds in the contracts. One that docs/slither.md does not answer, by name, is a failure."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from side_project import QUICK, ROOT, CannotCheck, make_project, with_provers

ANSWERS = ROOT / "docs" / "slither.md"


def finding_name(finding: dict[str, Any]) -> str:
    """What tells a finding from others and outlives changes elsewhere: detector, contract, function, name."""
    parts: list[str] = []
    element = finding["elements"][0]
    while element and element["type"] != "file":
        parts.insert(0, element["name"])
        element = element.get("type_specific_fields", {}).get("parent")
    return f"{finding['check']} {'.'.join(parts)}"


def find(folder: Path) -> set[str]:
    """Run slither in a project of the contracts; return the names of its findings."""
    make_project(folder, (QUICK,))
    answer = folder / "slither.json"
    command = ["slither", ".", "--filter-paths", "node_modules", "--json", str(answer)]
    ran = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True, env=with_provers())
    found: dict[str, Any] = json.loads(answer.read_text()) if answer.exists() else {"success": False}
    if not found["success"]:
        raise CannotCheck(ran.stdout + ran.stderr)
    return {finding_name(it) for it in found["results"].get("detectors", [])}


def main() -> int:
    """Compare the findings with the answers."""
    with tempfile.TemporaryDirectory(prefix="slither-") as folder:
        findings = find(Path(folder).resolve())
    answered = ANSWERS.read_text()
    unanswered = sorted(name for name in findings if f"`{name}`" not in answered)
    print(f"{len(findings)} findings, {len(unanswered)} not answered in {ANSWERS.relative_to(ROOT)}")
    for name in unanswered:
        print(f"not answered: `{name}`")
    return 1 if unanswered else 0


if __name__ == "__main__":
    sys.exit(main())
