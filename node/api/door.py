"""The door: which node a request is from, whether it may be believed, and whether that node asks too often.

What costs nothing is checked before the body is read; what the body is needed for, after. Nodes that have a
channel here and strangers are counted apart: keys are free, and strangers must not crowd out those who pay.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from node.api.faults import Busy, RateLimited
from node.api.limits import Limits, TokenBuckets
from node.authentication import Authentication, ReplayGuard, read_authentication, verify_request
from payments.types import NodeId

STRANGERS = 16_384
"""Requests of unknown nodes that are remembered in the window of replays."""


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
        """Read who a request says it is from, and refuse what is stale or seen. Raises BadRequest."""
        claim = read_authentication(headers)
        self._guard(claim.node).check(claim, self.clock())
        return claim

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
