"""Authenticated requests: what one says, to whom it says it, and that it passes once."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from node import errors
from node.authentication import (
    NODE_HEADER,
    NONCE_HEADER,
    REQUEST_WINDOW,
    RUN_HEADER,
    SIGNATURE_HEADER,
    TIME_HEADER,
    TO_HEADER,
    UNKNOWN_RUN,
    Authentication,
    ReplayGuard,
    body_hash,
    read_authentication,
    sign_request,
    verify_request,
)
from node.identity import NodeKey
from payments.types import NodeId, Timestamp
from tests.node.support import FARMER, NOW, RENTER, STRANGER, other_node, seeded

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors" / "identity.json").read_text())
RUN = b"\x0a" * 16
OTHER_RUN = b"\x0b" * 16
BODY = body_hash(b'{"hello":1}')
HEADERS = (NODE_HEADER, TO_HEADER, RUN_HEADER, TIME_HEADER, NONCE_HEADER, SIGNATURE_HEADER)


def make_request(**changes: Any) -> dict[str, str]:  # noqa: ANN401 - any argument of sign_request
    arguments: dict[str, Any] = {
        "recipient": FARMER.node,
        "method": "POST",
        "target": "/v1/audits?a=1",
        "body": BODY,
        "now": NOW,
        "nonce": b"\x07" * 16,
        "run": RUN,
    }
    return sign_request(RENTER, **(arguments | changes))


def verify(headers: dict[str, str], **changes: Any) -> None:  # noqa: ANN401 - any argument of verify_request
    arguments: dict[str, Any] = {
        "us": FARMER.node,
        "method": "POST",
        "target": "/v1/audits?a=1",
        "body": BODY,
    }
    verify_request(read_authentication(headers), **(arguments | changes))


def make_claim(
    time: int = NOW, nonce: int = 0, node: NodeId = RENTER.node, run: bytes = RUN
) -> Authentication:
    return Authentication(node, FARMER.node, run, Timestamp(time), nonce.to_bytes(16, "big"), bytes(64))


def make_guard(started_at: int = NOW - 1000, run: bytes = RUN, **limits: int) -> ReplayGuard:
    return ReplayGuard(run=run, started_at=started_at, **limits)


# Requests


def test_a_signed_request_verifies() -> None:
    verify(make_request())


@pytest.mark.parametrize("vector", VECTORS["requests"], ids=lambda vector: vector["target"])
def test_request_headers_are_those_of_the_committed_vectors(vector: dict[str, Any]) -> None:
    made = sign_request(
        NodeKey(bytes.fromhex(vector["seed"])),
        recipient=bytes.fromhex(vector["recipient"]),
        method=vector["method"],
        target=vector["target"],
        body=bytes.fromhex(vector["body"]),
        now=vector["time"],
        nonce=bytes.fromhex(vector["nonce"]),
        run=bytes.fromhex(vector["run"]),
    )
    assert made == vector["headers"]


@pytest.mark.parametrize(
    "change",
    [
        {"method": "PUT"},
        {"method": "post"},
        {"target": "/v1/audits"},
        {"target": "/v1/audits?a=1&b=2"},
        {"target": "/v1/vouchers"},
        {"body": body_hash(b"")},
    ],
    ids=str,
)
def test_a_request_means_nothing_elsewhere(change: dict[str, Any]) -> None:
    with pytest.raises(errors.ForgedRequest):
        verify(make_request(), **change)


def test_a_request_to_another_node_is_refused() -> None:
    with pytest.raises(errors.WrongRecipient) as caught:
        verify(make_request(recipient=STRANGER.node))
    assert caught.value.recipient == STRANGER.node


@pytest.mark.parametrize(
    ("header", "value"),
    [
        (NODE_HEADER, "0x" + STRANGER.node.hex()),
        (NODE_HEADER, "0x" + other_node(RENTER.node).hex()),
        (RUN_HEADER, "0x" + OTHER_RUN.hex()),
        (TIME_HEADER, str(NOW + 1)),
        (NONCE_HEADER, "0x" + "08" * 16),
        (SIGNATURE_HEADER, "0x" + "00" * 64),
    ],
)
def test_a_changed_header_breaks_the_signature(header: str, value: str) -> None:
    with pytest.raises(errors.ForgedRequest):
        verify(make_request() | {header: value})


def test_fields_cannot_flow_into_each_other() -> None:
    one = make_request(method="POST", target="/a")
    with pytest.raises(errors.ForgedRequest):
        verify(one, method="POST/", target="a")


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize(
    "value", [None, "", "0x", "zz", "-1", "\uff11", "0x" + "0" * 200, "1" * 5000, "0X" + "00" * 32]
)
def test_a_missing_or_malformed_header_is_named(header: str, value: str | None) -> None:
    headers = make_request()
    del headers[header]
    if value is not None:
        headers[header] = value
    with pytest.raises(errors.MalformedHeader) as caught:
        read_authentication(headers)
    assert caught.value.header == header
    assert caught.value.code == "MALFORMED_HEADER"


@given(st.dictionaries(st.sampled_from(HEADERS), st.text(max_size=200)))
def test_any_headers_are_read_or_refused_by_name(changes: dict[str, str]) -> None:
    try:
        claim = read_authentication(make_request() | changes)
    except errors.MalformedHeader:
        return
    assert len(claim.node) == len(claim.recipient) == 32


# Once only


def test_a_fresh_request_is_admitted_once() -> None:
    guard, claim = make_guard(), make_claim()
    guard.check(claim, NOW)
    guard.check(claim, NOW)
    guard.admit(claim, NOW)
    for again in (guard.check, guard.admit):
        with pytest.raises(errors.ReplayedRequest):
            again(claim, NOW + 1)


def test_the_same_nonce_of_another_node_or_time_is_another_request() -> None:
    guard = make_guard()
    for claim in (
        make_claim(),
        make_claim(node=STRANGER.node),
        make_claim(time=NOW + 1),
        make_claim(nonce=1),
    ):
        guard.admit(claim, NOW)
    assert len(guard) == 4


@pytest.mark.parametrize("skew", [-REQUEST_WINDOW, 0, REQUEST_WINDOW])
def test_clocks_may_differ_by_the_window(skew: int) -> None:
    make_guard().admit(make_claim(time=NOW + skew), NOW)


@pytest.mark.parametrize("skew", [-REQUEST_WINDOW - 1, REQUEST_WINDOW + 1, -NOW, 2**39])
def test_a_request_outside_the_window_is_stale(skew: int) -> None:
    with pytest.raises(errors.StaleRequest) as caught:
        make_guard().admit(make_claim(time=NOW + skew), NOW)
    assert caught.value.earliest == NOW - REQUEST_WINDOW
    assert caught.value.latest == NOW + REQUEST_WINDOW


def test_what_was_forgotten_stays_refused_when_the_clock_is_set_back() -> None:
    guard, claim = make_guard(), make_claim()
    guard.admit(claim, NOW)
    guard.admit(make_claim(time=NOW + 1000), NOW + 1000)
    assert len(guard) == 1
    with pytest.raises(errors.StaleRequest):
        guard.admit(claim, NOW)


@pytest.mark.parametrize("skew", [-REQUEST_WINDOW, 0, 1, REQUEST_WINDOW])
@pytest.mark.parametrize("pause", [0, 1, REQUEST_WINDOW - 1, REQUEST_WINDOW, 2 * REQUEST_WINDOW])
def test_a_restart_cannot_be_replayed_into(skew: int, pause: int) -> None:
    """Whatever was admitted before a restart, dated ahead or back, is refused after it, at any time."""
    claim = make_claim(time=NOW + skew)
    make_guard(started_at=NOW).admit(claim, NOW)
    restarted = make_guard(started_at=NOW + pause, run=OTHER_RUN)
    for now in range(NOW + pause, NOW + pause + 3 * REQUEST_WINDOW):
        with pytest.raises((errors.WrongRun, errors.StaleRequest)):
            restarted.admit(claim, now)


def test_a_young_node_tells_its_run_and_admits_who_names_it() -> None:
    guard = make_guard(started_at=NOW)
    with pytest.raises(errors.WrongRun) as caught:
        guard.admit(make_claim(run=UNKNOWN_RUN), NOW)
    assert caught.value.detail["run"] == "0x" + RUN.hex()
    guard.admit(make_claim(run=caught.value.run), NOW)


def test_a_node_in_its_stride_asks_for_no_run() -> None:
    guard = make_guard(started_at=NOW)
    now = NOW + REQUEST_WINDOW + 1
    guard.admit(make_claim(time=now, run=UNKNOWN_RUN), now)


def test_memory_per_node_is_bounded_and_frees_itself() -> None:
    guard = make_guard(per_node=3)
    for nonce in range(3):
        guard.admit(make_claim(nonce=nonce), NOW)
    with pytest.raises(errors.TooManyRequests) as caught:
        guard.admit(make_claim(nonce=3), NOW)
    assert caught.value.limit == 3
    guard.admit(make_claim(node=STRANGER.node), NOW)
    later = NOW + REQUEST_WINDOW + 1
    guard.admit(make_claim(time=later, nonce=3), later)
    assert len(guard) == 1


def test_what_a_stranger_sent_stays_seen_when_it_becomes_known() -> None:
    strangers, known = make_guard(), make_guard()
    for nonce in range(3):
        strangers.admit(make_claim(nonce=nonce), NOW)
    strangers.admit(make_claim(node=STRANGER.node), NOW)
    known.admit(make_claim(nonce=9), NOW)
    for _ in range(2):
        known.adopt(strangers, RENTER.node)
    assert len(known) == 4
    for nonce in (0, 1, 2, 9):
        with pytest.raises(errors.ReplayedRequest):
            known.admit(make_claim(nonce=nonce), NOW)
    known.admit(make_claim(node=STRANGER.node), NOW)
    later = NOW + REQUEST_WINDOW + 1
    known.admit(make_claim(time=later, nonce=3), later)
    assert len(known) == 1


def test_memory_in_all_is_bounded() -> None:
    guard = make_guard(total=10)
    for number in range(10):
        guard.admit(make_claim(node=NodeId(seeded(number))), NOW)
    with pytest.raises(errors.TooManyRequests):
        guard.admit(make_claim(node=NodeId(seeded(10))), NOW)
    assert len(guard) == 10


class GuardAgainstModel(RuleBasedStateMachine):
    """A guard, restarted at will, against a model that remembers everything for ever."""

    @initialize()
    def start(self) -> None:
        self.now = NOW
        self.runs = 0
        self.admitted: set[tuple[bytes, int, bytes]] = set()
        self.restart()

    @rule(seconds=st.integers(0, 90))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def restart(self) -> None:
        self.runs += 1
        self.guard = make_guard(started_at=self.now, run=self.runs.to_bytes(16, "big"), per_node=20)

    @rule(
        skew=st.integers(-70, 70),
        nonce=st.integers(0, 3),
        node=st.sampled_from((RENTER.node, STRANGER.node)),
        back=st.integers(0, 2),
    )
    def send(self, skew: int, nonce: int, node: NodeId, back: int) -> None:
        run = max(0, self.runs - back).to_bytes(16, "big")
        self.offer(make_claim(self.now + skew, nonce, node, run))

    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        if self.admitted:
            node, time, identity = data.draw(st.sampled_from(sorted(self.admitted)))
            run, nonce = identity[:16], int.from_bytes(identity[16:], "big")
            self.offer(make_claim(time, nonce, NodeId(node), run))

    def offer(self, claim: Authentication) -> None:
        identity = (claim.node, claim.time, claim.run + claim.nonce)
        try:
            self.guard.admit(claim, self.now)
        except errors.BadRequest:
            return
        assert identity not in self.admitted
        assert abs(claim.time - self.now) <= REQUEST_WINDOW
        self.admitted.add(identity)

    @invariant()
    def memory_is_bounded(self) -> None:
        assert len(self.guard) <= 40


TestGuardAgainstModel = GuardAgainstModel.TestCase
TestGuardAgainstModel.settings = settings(max_examples=40, stateful_step_count=40)


@pytest.mark.parametrize(
    "refuse",
    [
        lambda: read_authentication({}),
        lambda: make_guard().admit(make_claim(time=0), NOW),
    ],
)
def test_refusals_are_the_peers_fault(refuse: Callable[[], object]) -> None:
    with pytest.raises(errors.PeerFault) as caught:
        refuse()
    json.dumps(caught.value.detail)
