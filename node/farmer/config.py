"""A FarmerConfig: what a farmer asks, accepts and allows, as its owner wrote it down in one JSON file.

Amounts are decimal strings of base units, times seconds, sizes bytes, addresses 0x-hex. The file may be
changed while the farmer runs; one that makes no sense is refused, naming the entry, and nothing changes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Self

from node.errors import DamagedFile
from node.hex import from_hex, to_hex
from node.home import read_json, write_json
from payments.errors import PaymentError
from payments.policy import ClaimPolicy
from payments.prices import Prices, Quote
from payments.types import GB, MB, Address, Amount, NodeId, Seconds, Timestamp, to_amount
from settlement.fees import GWEI
from settlement.postgresql import read_url

DAY: Final = 86_400
TOKEN: Final = 10**18
"""Base units of a token with the usual 18 decimals, in which the defaults are stated."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The part of the configuration that becomes the quote."""

    prices: Prices = Prices(  # noqa: RUF009 - frozen
        storage_per_gb_month=Amount(TOKEN // 500),
        download_per_gb=Amount(TOKEN // 200),
        per_audit=Amount(10**9),
    )
    audit_interval: Seconds = Seconds(DAY)  # noqa: RUF009 - a NewType is no call at run time
    response_deadline: Seconds = Seconds(3_600)  # noqa: RUF009
    grace: Seconds = Seconds(7 * DAY)  # noqa: RUF009
    min_deposit: Amount = Amount(TOKEN // 1000)  # noqa: RUF009
    min_agreement_value: Amount = Amount(0)  # noqa: RUF009
    min_challenge_period: Seconds = Seconds(DAY)  # noqa: RUF009
    max_challenge_period: Seconds = Seconds(30 * DAY)  # noqa: RUF009
    max_agreement_seconds: Seconds = Seconds(365 * DAY)  # noqa: RUF009


@dataclass(frozen=True, slots=True)
class FarmerConfig:
    """Everything a farmer's owner decides.

    payee: who is paid, 20 bytes, may be cold. tokens: those accepted, all at the same prices. urls: how
    others reach this node; empty: its own address. capacity: bytes it may take for shards. keep_free: bytes
    of the disk to leave free besides. trash_seconds: how long ended shards are kept, 0: not at all.
    scan_rate: bytes a second that are read to look for damage, 0: none. max_exposure: base units one
    renter may owe at most. max_intervals: audit intervals of its own storage that it may owe, if that is
    less. upload_seconds: how long a proposed agreement waits for its shard. gas_price: what 10**18 wei are
    worth in base units of the token, to weigh fees; None if nobody knows. max_gas_fee: wei a unit of gas may
    cost; deadline_gas_fee: that it may cost where a payer has asked to close and the claim is worth it.
    metrics_port: where on this machine a Prometheus may read; None: nowhere. towers: watchtowers that hold
    our vouchers, each as 0xNODEID@URL. accept_contract_signers: take channels that a contract signs for
    (ERC-1271); its vouchers count as unpaid until they are claimed. database: the PostgreSQL that keeps the
    books, as a URL without a password; None: a SQLite file.
    """

    payee: Address
    tokens: tuple[Address, ...]
    host: str = "127.0.0.1"
    port: int = 0
    urls: tuple[str, ...] = ()
    capacity: int = 100 * GB
    keep_free: int = GB
    trash_seconds: Seconds = Seconds(7 * DAY)  # noqa: RUF009 - a NewType is no call at run time
    scan_rate: int = 4 * MB
    offer: Offer = field(default_factory=Offer)
    quote_lifetime: Seconds = Seconds(3_600)  # noqa: RUF009 - a NewType is no call at run time
    max_exposure: Amount = Amount(TOKEN // 10)  # noqa: RUF009
    max_intervals: int = 3
    upload_seconds: Seconds = Seconds(3_600)  # noqa: RUF009
    claims: ClaimPolicy = field(default_factory=ClaimPolicy)
    gas_price: Amount | None = None
    max_gas_fee: int | None = None
    deadline_gas_fee: int = 3_000 * GWEI
    metrics_port: int | None = None
    towers: tuple[str, ...] = ()
    accept_contract_signers: bool = False
    database: str | None = None

    def quote(self, farmer: NodeId, sequence: int, now: int, free: int) -> Quote:
        """State the offer as a quote with `free` bytes left. Raises PaymentError."""
        return Quote(
            farmer=farmer,
            sequence=sequence,
            issued_at=Timestamp(now),
            expires_at=Timestamp(now + self.quote_lifetime),
            tokens=self.tokens,
            free_bytes=free,
            **{item.name: getattr(self.offer, item.name) for item in fields(self.offer)},
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file. Raises FileNotFoundError, DamagedFile."""
        return cls.from_json(read_json(path), path)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], path: Path) -> Self:
        """Read what `to_json` wrote; an entry left out has its default. Raises DamagedFile naming `path`."""
        try:
            config: Self = _read(cls, stored, "")
        except (_Unreadable, PaymentError) as error:
            raise DamagedFile(path, str(error)) from error
        return config

    def to_json(self) -> dict[str, Any]:
        """The form it has in the file."""
        written: dict[str, Any] = _write(self)
        return written

    def save(self, path: Path) -> None:
        """Replace the file, whole or not at all."""
        write_json(path, self.to_json())


def read_tower(text: str) -> tuple[NodeId, str]:
    """Read a tower's node id and URL from 0xNODEID@URL. Raises ValueError."""
    node, at, url = text.partition("@")
    if not at or not url.startswith(("http://", "https://")):
        raise ValueError("a tower is written 0xNODEID@http://HOST:PORT")
    return NodeId(from_hex(node, 32)), url


class _Unreadable(ValueError):
    """An entry that makes no sense."""


_NESTED: Final[Mapping[str, type[Any]]] = {"offer": Offer, "prices": Prices, "claims": ClaimPolicy}
_AMOUNTS: Final = frozenset(
    {
        "storage_per_gb_month",
        "download_per_gb",
        "per_audit",
        "min_deposit",
        "min_agreement_value",
        "max_exposure",
        "min_amount",
        "gas_price",
    }
)
_OPTIONAL: Final = frozenset({"gas_price", "max_gas_fee", "metrics_port", "database"})
_MAX_INTEGER: Final = 2**63 - 1


def _write(value: Any) -> Any:  # noqa: ANN401 - whatever a field holds
    written: dict[str, Any] = {}
    for item in fields(value):
        held = getattr(value, item.name)
        if item.name in _NESTED:
            written[item.name] = _write(held)
        elif item.name in _AMOUNTS:
            written[item.name] = None if held is None else str(held)
        elif isinstance(held, tuple):
            written[item.name] = [to_hex(one) if isinstance(one, bytes) else one for one in held]
        else:
            written[item.name] = to_hex(held) if isinstance(held, bytes) else held
    return written


def _read(kind: type[Any], stored: object, place: str) -> Any:  # noqa: ANN401 - an instance of `kind`
    if not isinstance(stored, dict):
        raise _Unreadable(f"{place or 'the whole'} is not an object")
    known = {item.name for item in fields(kind)}
    if unknown := set(stored) - known:
        raise _Unreadable(f"unknown entry {place + min(unknown)!r}")
    values = {name: _read_entry(name, value, place + name) for name, value in stored.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise _Unreadable(f"an entry is missing: {error}") from error


def _read_entry(name: str, value: object, place: str) -> Any:  # noqa: ANN401 - what the field holds
    if name in _NESTED:
        return _read(_NESTED[name], value, place + ".")
    if value is None and name in _OPTIONAL:
        return None
    try:
        return _READERS.get(name, _amount if name in _AMOUNTS else _integer)(value)
    except (ValueError, PaymentError) as error:
        raise _Unreadable(f"{place}: {error}") from error


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise ValueError("not a list")  # noqa: TRY004 - one kind of error for every entry
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("not a text")  # noqa: TRY004 - one kind of error for every entry
    return value


def _tower(value: object) -> str:
    text = _text(value)
    read_tower(text)
    return text


def _integer(value: object) -> int:
    if type(value) is not int or not 0 <= value <= _MAX_INTEGER:
        raise ValueError("not a natural number")
    return value


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("not true or false")  # noqa: TRY004 - one kind of error for every entry
    return value


def _amount(value: object) -> Amount:
    return to_amount(int(_text(value)))


def check_database(value: object) -> str:
    """Accept the URL of a PostgreSQL database. Raises ValueError, also for a password in it."""
    url = read_url(_text(value))
    if url is None:
        raise ValueError("not a URL such as postgresql://user@host/database")
    if url.password is not None or "password" in url.query:
        raise ValueError(
            "no place for a password: leave it to ~/.pgpass, ?service=, ?passfile= or PGPASSWORD"
        )
    return _text(value)


def _address(value: object) -> Address:
    return Address(from_hex(value, 20))


_READERS: Final[Mapping[str, Callable[[object], object]]] = {
    "payee": _address,
    "tokens": lambda value: tuple(map(_address, _list(value))),
    "urls": lambda value: tuple(map(_text, _list(value))),
    "towers": lambda value: tuple(map(_tower, _list(value))),
    "host": _text,
    "accept_contract_signers": _switch,
    "database": check_database,
}
