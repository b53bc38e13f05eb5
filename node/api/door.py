"""The door: which node a request is from, whether it may be believed, and whether that node asks too often.

What costs nothing is checked before the body is read; what the body is needed for, after. Nodes that have a
channel here and strangers are counted apart: keys are free, and strangers must not crowd out those who pay.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.types import Scope

from node.api.faults import BodyTooLarge, Busy, RateLimited
from node.api.limits import Limits, TokenBuckets
from node.authentication import (
    Authentication,
    ReplayGuard,
    read_authentication,
    read_body_hash,
    verify_request,
)
from node.errors import BadRequest
from payments.types import NodeId

STRANGERS = 16_384
"""Requests of unknown nodes that are remembered in the window of replays."""


def scope_target(scope: Scope) -> str:
    """Path and query as they were sent."""
    raw: bytes = scope["raw_path"]
    query: bytes = scope["query_string"]
    return (raw + b"?" + query if query else raw).decode("latin-1")


@dataclass(slots=True)
class Door:
    """Authenticates requests to one node. `knows`: whether a node has a channel here; `clock`: wall time."""

    node: NodeId
    run: bytes
    clock: Callable[[], int]
    limits: Limits
    knows: Callable[[NodeId], bool]
    _known: set[NodeId] = field(default_factory=set)
    _introductions: int = 0
    _friends: ReplayGuard = field(init=False)
    _strangers: ReplayGuard = field(init=False)
    _keys: TokenBuckets = field(init=False)

    def __post_init__(self) -> None:
        now = self.clock()
        self._friends = ReplayGuard(run=self.run, started_at=now)
        self._strangers = ReplayGuard(run=self.run, started_at=now, per_node=512, total=STRANGERS)
        self._keys = TokenBuckets(self.limits.key_rate, self.limits.key_burst)

    def look(self, headers: Mapping[str, str]) -> Authentication:
        """Read who a request says it is from, and refuse what is stale or seen. Raises BadRequest.

        Raises BodyTooLarge where a node without a channel here announces more than an introduction takes.
        """
        claim = read_authentication(headers)
        guard = self._guard(claim.node)
        guard.check(claim, self.clock())
        length = int(headers.get("content-length", "0"))
        if guard is self._strangers and length > self.limits.max_control_body:
            raise BodyTooLarge(length, self.limits.max_control_body)
        return claim

    def recognise(self, scope: Scope) -> NodeId | None:
        """Say which known node has signed this request, by its head alone; None for all others.

        Neither that it is new nor that its body is what it says has been looked at yet.
        """
        try:
            headers = Headers(scope=scope)
            claim, body = read_authentication(headers), read_body_hash(headers)
            if self._guard(claim.node) is self._strangers:
                return None
            target = scope_target(scope)
            verify_request(claim, us=self.node, method=scope["method"], target=target, body=body)
        except BadRequest:
            return None
        return claim.node

    def admit(self, claim: Authentication, method: str, target: str, body: bytes) -> NodeId:
        """Believe a request whose signature is good; return the node it is from.

        `body` is its hash, or a shard's data root. Raises BadRequest, RateLimited.
        """
        verify_request(claim, us=self.node, method=method, target=target, body=body)
        wait = self._keys.take(claim.node, time.monotonic())
        if wait:
            raise RateLimited(math.ceil(wait))
        self._guard(claim.node).admit(claim, self.clock())
        return claim.node

    @contextmanager
    def introduction(self, node: NodeId) -> Iterator[None]:
        """Look up what a node presents; of nodes not known yet, so many at once. Raises Busy."""
        stranger = self._guard(node) is self._strangers
        if stranger and self._introductions >= self.limits.max_introductions:
            raise Busy
        self._introductions += stranger
        try:
            yield
        finally:
            self._introductions -= stranger

    def _guard(self, node: NodeId) -> ReplayGuard:
        if node not in self._known and node != self.node:
            if not self.knows(node):
                return self._strangers
            self._known.add(node)
            self._friends.adopt(self._strangers, node)
        return self._friends
