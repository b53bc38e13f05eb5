"""Errors as the peer sees them: a status and {"error", "message", "detail"}, never a traceback.

Faults of the peer are told in full; faults of ours are logged here and told by name only.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from node import errors as node_errors
from node.errors import NodeError, PeerFault, plain
from node.farmer import errors as farmer_errors
from node.store_faults import ShardDamaged, ShardMissing, StoreAway, StoreFault, StoreFull, StoreOfAnother
from node.tower.errors import NotServed
from payments.errors import (
    ChannelError,
    InsufficientDeposit,
    PaidTooLow,
    PaymentError,
    PaymentTooLow,
)
from settlement.errors import SettlementError, StorageError, StorageFull

log = logging.getLogger("tithebarn.api")


class ApiFault(PeerFault):
    """A request that was refused before anybody looked into it; `status` is its HTTP status."""

    status = 400


@dataclass(eq=False)
class BodyTooLarge(ApiFault):
    """The announced body is larger than this route takes."""

    status = 413
    length: int
    limit: int

    def __str__(self) -> str:
        return f"a body of {self.length} bytes is announced, at most {self.limit} are read here"


@dataclass(eq=False)
class LengthRequired(ApiFault):
    """The request has a body of unknown length."""

    status = 411

    def __str__(self) -> str:
        return "say the body's length in Content-Length; chunked bodies are not read"


@dataclass(eq=False)
class BodyTooSlow(ApiFault):
    """The body did not arrive in the time it may take."""

    status = 408
    seconds: float

    def __str__(self) -> str:
        return f"the body did not arrive within {self.seconds:.0f} s"


@dataclass(eq=False)
class BodyCutOff(ApiFault):
    """The peer went away before it had sent the body it announced."""

    def __str__(self) -> str:
        return "the connection ended within the body"


@dataclass(eq=False)
class RateLimited(ApiFault):
    """More requests than this address or key may send."""

    status = 429
    retry_after: int

    def __str__(self) -> str:
        return f"too many requests: try again in {self.retry_after} s"


@dataclass(eq=False)
class Busy(ApiFault):
    """As many requests are running as the farmer takes at once."""

    status = 503
    retry_after: int = 1

    def __str__(self) -> str:
        return "too many requests are running: try again in a moment"


@dataclass(eq=False)
class UnknownRoute(ApiFault):
    """No such path, or not with this method."""

    status = 404
    path: str

    def __str__(self) -> str:
        return f"there is nothing at {self.path}"


@dataclass(eq=False)
class MethodNotAllowed(ApiFault):
    """The path exists, the method does not."""

    status = 405
    method: str

    def __str__(self) -> str:
        return f"{self.method} is not possible here"


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back for an error."""

    status: int
    error: str
    message: str
    detail: Mapping[str, object] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """The JSON."""
        return json.dumps({"error": self.error, "message": self.message, "detail": self.detail}).encode()


_STATUS: Final[tuple[tuple[type[Exception], int], ...]] = (
    (node_errors.MalformedMessage, 400),
    (node_errors.TooManyRequests, 429),
    (node_errors.BadRequest, 401),
    (farmer_errors.NotFound, 404),
    (node_errors.UnknownAgreement, 404),
    (farmer_errors.PaymentRequired, 402),
    (farmer_errors.CapacityExceeded, 507),
    (farmer_errors.AgreementRefused, 409),
    (farmer_errors.ChannelNotOpen, 409),
    (NotServed, 403),
    (PaidTooLow, 402),
    (PaymentTooLow, 402),
    (InsufficientDeposit, 402),
    (ChannelError, 409),
    (ShardMissing, 410),
    (ShardDamaged, 410),
    (PeerFault, 422),
    (PaymentError, 422),
)
_AWAY: Final = "the farmer's disk is not there; nothing is known to be lost"
_OURS: Final[tuple[tuple[type[Exception], int, str], ...]] = (
    (StoreAway, 503, _AWAY),
    (StoreOfAnother, 503, _AWAY),
    (StoreFull, 507, "the farmer's disk is full; nothing was stored"),
    (StoreFault, 503, "the farmer cannot store now; nothing was stored"),
    (StorageFull, 507, "the farmer's disk is full; nothing was accepted"),
    (StorageError, 503, "the farmer cannot write its records now; nothing was accepted"),
    (SettlementError, 503, "the farmer cannot check the chain now; try again later"),
)


def answer(error: Exception) -> Answer:
    """Choose what the peer is told about `error`; log what it is not told."""
    if isinstance(error, ApiFault):
        return Answer(error.status, error.code, str(error), error.detail)
    for kind, status in _STATUS:
        if isinstance(error, kind) and isinstance(error, NodeError | PaymentError):
            return Answer(status, error.code, str(error), _json_ready(error.detail))
    for ours, status, told in _OURS:
        if isinstance(error, ours) and isinstance(error, NodeError | SettlementError):
            log.warning("request_failed code=%s reason=%s", error.code, error)
            return Answer(status, error.code, told)
    log.error("request_crashed error=%s", type(error).__name__, exc_info=error)
    return Answer(500, "INTERNAL", "the farmer made a mistake; it is in its log")


def _json_ready(detail: Mapping[str, object]) -> dict[str, object]:
    return {name: plain(value) for name, value in detail.items() if name != "signature"}
