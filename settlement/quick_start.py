"""Spares every start of a program the time that web3's dependencies spend on a curve it never uses.

web3 imports eth-keyfile, which imports `py_ecc.bls` for keystores of validators (EIP-2335); that computes
pairing constants while it is imported. Until somebody touches it, a stand-in takes its place. Keystores of
accounts (version 3), the only ones read here, never do.
"""

import importlib
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

_PACKAGE = "py_ecc"
_BLS = f"{_PACKAGE}.bls"


class _Later:
    """A name of a module that is imported when one of its attributes is asked for."""

    def __init__(self, module: str, name: str) -> None:
        self._module = module
        self._name = name

    def __getattr__(self, attribute: str) -> object:
        if isinstance(sys.modules.get(self._module), _StandIn):
            del sys.modules[self._module]
        return getattr(getattr(importlib.import_module(self._module), self._name), attribute)


class _StandIn(ModuleType):
    """A package all of whose public names are there, later; its modules are imported as ever."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name)
        self.__path__ = [str(folder)]

    def __getattr__(self, name: str) -> _Later:
        if name.startswith("_"):
            raise AttributeError(name)
        return _Later(self.__name__, name)


def spare_the_pairing() -> None:
    """Put the stand-in where nobody has imported the real module yet."""
    package = find_spec(_PACKAGE)
    if package is not None and package.origin is not None:
        sys.modules.setdefault(_BLS, _StandIn(_BLS, Path(package.origin).with_name("bls")))
