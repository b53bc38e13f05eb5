"""The erasure code of a segment: Reed-Solomon k of n over its ciphertext, any k of the n shards give it back.

Matrix and layout are zfec's: the ciphertext is cut into k data shards of equal length, the last ones padded
with zeros (as `zfec.easyfec` does), and n - k parity shards follow, so plain zfec decodes what this module
encodes and the other way round. The matrix is read off zfec by encoding unit vectors; the products are
computed by ISA-L (node.isal) where that is installed, otherwise by zfec. Shards are masked later
(node.cipher).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import zfec

from node.errors import CodeOutOfRange, NotEnoughShards, ShardOutOfRange, WrongShardLength
from node.isal import MIN_LENGTH, Kernel, Tables, load
from node.segments import Buffer

MAX_SHARDS = 256

_CACHE_LINE = 64


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes `start` to `stop` of data shard `index`."""

    index: int
    start: int
    stop: int


def shard_length(length: int, k: int) -> int:
    """Return the length of each shard of a ciphertext of `length` bytes."""
    return -(-length // k)


def pieces_covering(start: int, stop: int, length: int) -> Iterator[Piece]:
    """Yield where the ciphertext's bytes `start` to `stop` lie in its data shards, `length` bytes each."""
    for index in range(start // length, -(-stop // length)):
        first = index * length
        yield Piece(index, max(start - first, 0), min(stop - first, length))


@dataclass(frozen=True, slots=True)
class Codec:
    """The code k of n. `plain` leaves ISA-L out. Immutable; may be shared between threads."""

    k: int
    n: int
    plain: bool = False

    def __post_init__(self) -> None:
        """Raise CodeOutOfRange where there is no such code."""
        if not 1 <= self.k <= self.n <= MAX_SHARDS:
            raise CodeOutOfRange(self.k, self.n)

    def encode(self, ciphertext: Buffer, parity: bytearray | None = None) -> list[memoryview]:
        """Return the n shards of a ciphertext.

        Full data shards are views of the ciphertext, the others of new memory. `parity` is the memory for
        parity shards, grown where it is too small; it can be used again once the shards are released.
        """
        length = shard_length(len(ciphertext), self.k)
        data = _cut(ciphertext, length, self.k)
        fast = self._kernel(length)
        if fast is None:
            made = _encoder(self.k, self.n).encode(data, range(self.k, self.n))
            return data + [memoryview(bytearray(shard)) for shard in made]
        rows = _rows(self.n - self.k, length, parity)
        if rows:
            wanted = tuple(range(self.k, self.n))
            fast.multiply(_tables(fast, self.k, self.n, tuple(range(self.k)), wanted), data, rows)
        return data + rows

    def decode(self, shards: Mapping[int, Buffer], length: int, into: bytearray | None = None) -> memoryview:
        """Return the ciphertext of `length` bytes from any k or more of its shards, given by index.

        Computes only the data shards that are missing. The result is a view of `into`, grown where it is
        too small. Raises NotEnoughShards, WrongShardLength, ShardOutOfRange.
        """
        each = shard_length(length, self.k)
        chosen = self._choose(shards, each)
        whole = _memory(each * self.k, into)
        rows = [memoryview(whole)[index * each : (index + 1) * each] for index in range(self.k)]
        for index in chosen:
            if index < self.k:
                rows[index][:] = shards[index]
        missing = [index for index in range(self.k) if index not in shards]
        self._compute(shards, chosen, missing, [rows[index] for index in missing])
        return memoryview(whole)[:length]

    def rebuild(
        self,
        shards: Mapping[int, Buffer],
        wanted: Sequence[int],
        into: Sequence[memoryview] | None = None,
    ) -> list[memoryview]:
        """Return the `wanted` shards, data or parity, from any k others, in new memory or `into` theirs.

        Works on whole shards as on the same range of each of them: bytes at one place in the shards depend
        on the bytes at that place only. Raises as `decode` does.
        """
        for index in wanted:
            self._check_index(index)
        length = len(next(iter(shards.values()))) if shards else 0
        chosen = self._choose(shards, length)
        made = _rows(len(wanted), length) if into is None else list(into)
        self._compute(shards, chosen, wanted, made)
        return made

    def _choose(self, shards: Mapping[int, Buffer], length: int) -> tuple[int, ...]:
        """Choose k shards, data shards first: they are copied where others cost a product."""
        for index, shard in shards.items():
            self._check_index(index)
            if len(shard) != length:
                raise WrongShardLength(index, len(shard), length)
        if len(shards) < self.k:
            raise NotEnoughShards(len(shards), self.k)
        return tuple(sorted(shards)[: self.k])

    def _compute(
        self,
        shards: Mapping[int, Buffer],
        chosen: tuple[int, ...],
        wanted: Sequence[int],
        rows: Sequence[memoryview],
    ) -> None:
        """Compute the `wanted` shards from the `chosen` ones into `rows`."""
        if not wanted:
            return
        sources = [shards[index] for index in chosen]
        fast = self._kernel(len(sources[0]))
        if fast is None:
            data = _decoder(self.k, self.n).decode(sources, chosen)
            for row, shard in zip(rows, _encoder(self.k, self.n).encode(data, wanted), strict=True):
                row[:] = shard
        else:
            fast.multiply(_tables(fast, self.k, self.n, chosen, tuple(wanted)), sources, rows)

    def _check_index(self, index: int) -> None:
        if not 0 <= index < self.n:
            raise ShardOutOfRange(index, self.n)

    def _kernel(self, length: int) -> Kernel | None:
        return None if self.plain or length < MIN_LENGTH else _trusted_kernel(self.k, self.n)


def _cut(ciphertext: Buffer, length: int, k: int) -> list[memoryview]:
    """Cut into k shards of `length` bytes; those that the ciphertext does not fill are padded copies."""
    whole = memoryview(ciphertext)
    full = len(whole) // length if length else 0
    rest = memoryview(bytearray(whole[full * length :]).ljust((k - full) * length, b"\0"))
    return [whole[index * length : (index + 1) * length] for index in range(full)] + [
        rest[index * length : (index + 1) * length] for index in range(k - full)
    ]


def _rows(count: int, length: int, memory: bytearray | None = None) -> list[memoryview]:
    """Lay out rows an odd number of cache lines apart: powers of two would make them share cache sets."""
    stride = (-(-length // _CACHE_LINE) | 1) * _CACHE_LINE
    whole = memoryview(_memory(count * stride, memory))
    return [whole[row * stride : row * stride + length] for row in range(count)]


def _memory(size: int, memory: bytearray | None) -> bytearray:
    """Return `memory`, grown where it is too small, or new memory."""
    if memory is None:
        return bytearray(size)
    memory.extend(bytes(max(0, size - len(memory))))
    return memory


@lru_cache(maxsize=8)
def _encoder(k: int, n: int) -> zfec.Encoder:
    return zfec.Encoder(k, n)


@lru_cache(maxsize=8)
def _decoder(k: int, n: int) -> zfec.Decoder:
    return zfec.Decoder(k, n)


@lru_cache(maxsize=8)
def _matrix(k: int, n: int) -> tuple[bytes, ...]:
    """Read zfec's matrix, n rows of k coefficients, off the shards of unit vectors."""
    return tuple(_encoder(k, n).encode([bytes(row == column for column in range(k)) for row in range(k)]))


@lru_cache(maxsize=8)
def _trusted_kernel(k: int, n: int) -> Kernel | None:
    """Return ISA-L's kernels if they are there and give zfec's bytes for this code."""
    kernel = load()
    if kernel is None or k == n:
        return None
    sample = [bytes((row * 89 + at * 151 + 1) % 256 for at in range(MIN_LENGTH)) for row in range(k)]
    rows = _rows(n - k, MIN_LENGTH)
    kernel.multiply(_tables(kernel, k, n, tuple(range(k)), tuple(range(k, n))), sample, rows)
    return kernel if rows == _encoder(k, n).encode(sample, range(k, n)) else None


@lru_cache(maxsize=64)
def _tables(kernel: Kernel, k: int, n: int, given: tuple[int, ...], wanted: tuple[int, ...]) -> Tables:
    """Prepare the matrix that leads from the `given` shards to the `wanted` ones."""
    matrix = _matrix(k, n)
    target = b"".join(matrix[index] for index in wanted)
    if given == tuple(range(k)):
        return kernel.expand(target, k)
    inverse = kernel.invert(b"".join(matrix[index] for index in given), k)
    width = max(k, MIN_LENGTH)
    sources = [inverse[row * k : (row + 1) * k].ljust(width, b"\0") for row in range(k)]
    product = _rows(len(wanted), width)
    kernel.multiply(kernel.expand(target, k), sources, product)
    return kernel.expand(b"".join(row[:k] for row in product), k)
