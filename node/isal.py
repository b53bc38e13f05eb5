"""ISA-L: Intel's kernels for matrices over GF(2**8), from the library inside the PyEClib wheel, by ctypes.

The field polynomial is 0x11D, zfec's own, so with zfec's matrix the bytes are zfec's. A product is computed
in strips that stay in the processor's second cache; each strip is one call during which the GIL is
released. Where the library is not there `load` returns None and node.erasure uses zfec itself.
"""

import ctypes
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, files

from node.segments import Buffer

MIN_LENGTH = 64
"""Bytes a row must have. Below 32 the vector kernels hand over to scalar code; the last strip overlaps its
neighbour instead, so that this code is never relied on."""

_CACHE = 384 * 2**10
_STRIP_STEP = 256
_MIN_STRIP = 2 * 2**10
_MAX_STRIP = 16 * 2**10
_TABLE_SIZE = 32


@dataclass(frozen=True, slots=True)
class Tables:
    """A matrix of `rows` by `columns`, expanded to what the kernel reads."""

    rows: int
    columns: int
    expanded: ctypes.Array[ctypes.c_char]


class Kernel:
    """The library's three functions with Python's types. Safe to share between threads."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._expand = library.ec_init_tables
        self._expand.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p]
        self._expand.restype = None
        self._multiply = library.ec_encode_data
        self._multiply.argtypes = [ctypes.c_int] * 3 + [ctypes.c_void_p] * 3
        self._multiply.restype = None
        self._invert = library.gf_invert_matrix
        self._invert.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int]
        self._invert.restype = ctypes.c_int

    def expand(self, matrix: bytes, columns: int) -> Tables:
        """Prepare a matrix, given row by row, for `multiply`."""
        rows = len(matrix) // columns
        expanded = ctypes.create_string_buffer(max(1, _TABLE_SIZE * rows * columns))
        self._expand(columns, rows, matrix, expanded)
        return Tables(rows, columns, expanded)

    def invert(self, matrix: bytes, size: int) -> bytes:
        """Return the inverse of a regular square matrix."""
        inverse = ctypes.create_string_buffer(size * size)
        singular = self._invert(ctypes.create_string_buffer(matrix, size * size), inverse, size)
        if singular:
            raise ArithmeticError("singular matrix")
        return inverse.raw

    def multiply(self, tables: Tables, sources: Sequence[Buffer], targets: Sequence[Buffer]) -> None:
        """Set each target to its row of the matrix times the sources.

        There are as many sources as columns and as many targets as rows, all of one length of at least
        MIN_LENGTH; targets are writable and overlap nothing.
        """
        length = len(sources[0])
        strip = _strip_size(tables.columns)
        with _addresses(sources) as read, _addresses(targets, writable=True) as written:
            for start in range(0, length, strip):
                at = min(start, max(0, length - MIN_LENGTH))
                data = array("Q", [address + at for address in read])
                coding = array("Q", [address + at for address in written])
                self._multiply(
                    min(strip, length - at),
                    tables.columns,
                    tables.rows,
                    tables.expanded,
                    data.buffer_info()[0],
                    coding.buffer_info()[0],
                )


@cache
def load() -> Kernel | None:
    """Return the kernels of the installed PyEClib, or None where there are none for this machine."""
    try:
        installed = files("pyeclib") or ()
    except PackageNotFoundError:
        return None
    for file in installed:
        if file.name.startswith("libisal"):
            try:
                return Kernel(ctypes.CDLL(str(file.locate())))
            except (OSError, AttributeError):
                return None
    return None


def _strip_size(columns: int) -> int:
    """As much of each row as lets all sources of one strip stay in the second cache."""
    return max(_MIN_STRIP, min(_MAX_STRIP, _CACHE // columns // _STRIP_STEP * _STRIP_STEP))


class _View(ctypes.Structure):
    """Py_buffer, part of Python's stable ABI since 3.11."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


_SIMPLE, _WRITABLE = 0, 1


@contextmanager
def _addresses(buffers: Sequence[Buffer], *, writable: bool = False) -> Iterator[list[int]]:
    """Hold the buffers in place and give their addresses. Raises BufferError where one cannot be written."""
    views = (_View * len(buffers))()
    held = 0
    try:
        for view, buffer in zip(views, buffers, strict=True):
            flags = _WRITABLE if writable else _SIMPLE
            ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(buffer), ctypes.byref(view), flags)
            held += 1
        yield [view.buf for view in views]
    finally:
        for view in views[:held]:
            ctypes.pythonapi.PyBuffer_Release(ctypes.byref(view))
