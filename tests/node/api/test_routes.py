"""Bad input at a farmer's door: every kind has a code and a status in one shape, and leaves no trace."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from node.api.limits import Limits
from node.api.owner import (
    ClaimAll,
    ClaimReport,
    RestoreReport,
    RestoreTrash,
    ScanMessage,
    ScanOn,
    StatusMessage,
)
from node.authentication import body_hash, sign_request
from node.farmer.trash import Refusal
from node.identity import NodeKey
from node.messages import AgreementState, ErrorBody, NodeInfo, PayVoucher, SignedVoucherMessage, dump, parse
from node.transport import Patience, Transport
from payments.prices import verify_quote
from tests.node.farmer.support import Renter, Rig, content, kept_files, refusal, run

Reply = tuple[int, dict[str, Any]]


class Raw:
    """Sends whatever it is told to, signed as it is told to."""

    def __init__(self, rig: Rig, session: aiohttp.ClientSession, key: NodeKey) -> None:
        self.rig = rig
        self.session = session
        self.key = key

    def sign(self, method: str, target: str, body: bytes, /, **changes: Any) -> dict[str, str]:  # noqa: ANN401
        fields: dict[str, Any] = {
            "recipient": self.rig.farmer.farm.node,
            "method": method,
            "target": target,
            "body": body_hash(body),
            "now": self.rig.clock(),
            "nonce": os.urandom(16),
            "run": self.rig.farmer.run,
        }
        return sign_request(self.key, **(fields | changes))

    async def send(
        self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Reply:
        url = self.rig.daemon.url + target
        if headers is None:
            headers = self.sign(method, target, body)
        async with self.session.request(method, url, data=body or None, headers=headers) as response:
            text = await response.read()
            said: dict[str, Any] = json.loads(text)
            if response.status >= 400:
                parse(ErrorBody, text)
            return response.status, said


def knock(tmp_path: Path, story: Any, **changes: Any) -> None:  # noqa: ANN401 - a story with rig, renter and raw
    async def main(rig: Rig) -> None:
        async with rig.renter() as renter, aiohttp.ClientSession() as session:
            await story(rig, renter, Raw(rig, session, renter.key))

    run(tmp_path, main, **changes)


def pay(renter: Renter, total: int) -> bytes:
    return dump(PayVoucher(voucher=SignedVoucherMessage.of(renter.voucher(total))))


async def paid(renter: Renter) -> int:
    seen = await renter.see()
    return seen.paid.voucher.cumulative_amount if seen.paid else 0


def test_the_description_is_public_signed_and_names_the_chain(tmp_path: Path) -> None:
    async def story(rig: Rig, renter: Renter, raw: Raw) -> None:
        _, said = await raw.send("GET", "/v1/node", headers={})
        info = parse(NodeInfo, json.dumps(said).encode())
        verify_quote(info.quote.core(), rig.farmer.farm.now())
        record = info.record.core().record
        assert (record.node, record.payee) == (rig.farmer.farm.node, rig.config.payee)
        assert record.urls == (rig.daemon.url,)
        assert info.chain.contract == rig.world.chain.deployment.contract
        assert await raw.send("GET", "/v1/health", headers={}) == (200, {"ok": True})
        assert renter.target.urls == record.urls

    knock(tmp_path, story)


@pytest.mark.parametrize(
    ("method", "target", "status", "error"),
    [
        ("GET", "/", 404, "UNKNOWN_ROUTE"),
        ("GET", "/v1/nothing", 404, "UNKNOWN_ROUTE"),
        ("GET", "/docs", 404, "UNKNOWN_ROUTE"),
        ("GET", "/openapi.json", 404, "UNKNOWN_ROUTE"),
        ("POST", "/v1/node", 405, "METHOD_NOT_ALLOWED"),
        ("PUT", "/v1/audits", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/v1/channels/0x00", 400, "MALFORMED_MESSAGE"),
        ("GET", "/v1/agreements/none", 400, "MALFORMED_MESSAGE"),
        ("GET", "/v1/agreements/0x" + "00" * 32, 404, "AGREEMENT_NOT_FOUND"),
        ("GET", "/v1/channels/0x" + "00" * 32, 404, "UNKNOWN_CHANNEL"),
        ("PUT", "/v1/agreements/0x" + "00" * 32 + "/shard", 404, "AGREEMENT_NOT_FOUND"),
        ("GET", "/v1/owner/status", 404, "UNKNOWN_ROUTE"),
    ],
)
def test_what_is_not_there_has_a_code(
    tmp_path: Path, method: str, target: str, status: int, error: str
) -> None:
    async def story(_: Rig, __: Renter, raw: Raw) -> None:
        body = b"x" if method in ("POST", "PUT") else b""
        got, said = await raw.send(method, target, body)
        assert (got, said["error"]) == (status, error)

    knock(tmp_path, story)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"voucher": null}',
        b'{"voucher": {"voucher": {}, "signature": "0x"}}',
        b"[" * 30_000,
        b'{"voucher": ' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"}",
    ],
)
def test_malformed_messages_are_refused(tmp_path: Path, body: bytes) -> None:
    async def story(_: Rig, renter: Renter, raw: Raw) -> None:
        got, said = await raw.send("POST", "/v1/vouchers", body or b" ")
        assert (got, said["error"]) == (400, "MALFORMED_MESSAGE")
        unknown = json.loads(pay(renter, 5)) | {"extra": 1}
        got, said = await raw.send("POST", "/v1/vouchers", json.dumps(unknown).encode())
        assert (got, said["error"]) == (400, "MALFORMED_MESSAGE")
        assert await paid(renter) == 0

    knock(tmp_path, story)


def test_an_oversized_message_is_refused_before_it_is_read(tmp_path: Path) -> None:
    async def story(_: Rig, __: Renter, raw: Raw) -> None:
        got, said = await raw.send("POST", "/v1/vouchers", b"x" * 65_537)
        assert (got, said["error"]) == (413, "BODY_TOO_LARGE")

    knock(tmp_path, story)


def test_a_request_counts_once(tmp_path: Path) -> None:
    async def story(_: Rig, renter: Renter, raw: Raw) -> None:
        body = pay(renter, 5)
        headers = raw.sign("POST", "/v1/vouchers", body)
        assert (await raw.send("POST", "/v1/vouchers", body, headers))[0] == 200
        got, said = await raw.send("POST", "/v1/vouchers", body, headers)
        assert (got, said["error"]) == (401, "REPLAYED_REQUEST")

    knock(tmp_path, story)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"recipient": b"?" * 32}, "WRONG_RECIPIENT"),
        ({"now": 5}, "STALE_REQUEST"),
        ({"now": 2**39}, "STALE_REQUEST"),
        ({"run": bytes(16)}, "WRONG_RUN"),
        ({"method": "PUT"}, "FORGED_REQUEST"),
        ({"target": "/v1/audits"}, "FORGED_REQUEST"),
        ({"target": "/v1/vouchers?x=1"}, "FORGED_REQUEST"),
        ({"body": b"?" * 32}, "FORGED_REQUEST"),
    ],
)
def test_requests_that_are_not_meant_so_are_refused(
    tmp_path: Path, changes: dict[str, Any], error: str
) -> None:
    async def story(_: Rig, renter: Renter, raw: Raw) -> None:
        body = pay(renter, 5)
        headers = raw.sign("POST", "/v1/vouchers", body, **changes)
        got, said = await raw.send("POST", "/v1/vouchers", body, headers)
        assert (got, said["error"]) == (401, error)
        assert await paid(renter) == 0

    knock(tmp_path, story)


@pytest.mark.parametrize("name", ["Node", "To", "Time", "Nonce", "Signature", "Run"])
def test_every_header_is_wanted(tmp_path: Path, name: str) -> None:
    async def story(_: Rig, renter: Renter, raw: Raw) -> None:
        body = pay(renter, 5)
        for value in (None, "", "0x", "0xzz", "-1", "9" * 30):
            headers = raw.sign("POST", "/v1/vouchers", body)
            headers.pop(f"Tithe-{name}")
            if value is not None:
                headers[f"Tithe-{name}"] = value
            got, said = await raw.send("POST", "/v1/vouchers", body, headers)
            assert (got, said["error"]) == (401, "MALFORMED_HEADER")

    knock(tmp_path, story)


def test_a_shard_is_authenticated_by_its_data_root(tmp_path: Path) -> None:
    async def story(rig: Rig, renter: Renter, raw: Raw) -> None:
        data = content(3_000)
        terms = await renter.agree(data)
        await renter.propose(terms)
        target = f"/v1/agreements/0x{renter.name(terms).hex()}/shard"
        headers = raw.sign("PUT", target, b"", body=os.urandom(32))
        got, said = await raw.send("PUT", target, data, headers)
        assert (got, said["error"]) == (401, "FORGED_REQUEST")
        headers = raw.sign("PUT", target, b"", body=terms.data_root)
        got, said = await raw.send("PUT", target, data[:-1] + b"!", headers)
        assert (got, said["error"]) == (422, "WRONG_DATA_ROOT")
        assert list(rig.farmer.farm.store.shards()) == []
        headers = raw.sign("PUT", target, b"", body=terms.data_root)
        got, said = await raw.send("PUT", target, data, headers)
        assert (got, said["state"]) == (200, "STORED")

    knock(tmp_path, story)


def test_an_upload_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    async def story(rig: Rig, renter: Renter, raw: Raw) -> None:
        data = content(900_000)
        terms = await renter.agree(data)
        await renter.propose(terms)
        target = f"/v1/agreements/0x{renter.name(terms).hex()}/shard"
        headers = raw.sign("PUT", target, b"", body=terms.data_root)
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        host, port = rig.daemon.url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"PUT {target} HTTP/1.1\r\nHost: f\r\nContent-Length: 900000\r\n{head}\r\n".encode())
        writer.write(data[:600_000])
        await writer.drain()
        await asyncio.sleep(0.3)
        writer.close()
        await asyncio.sleep(0.3)
        assert kept_files(rig.places.shards) == []
        assert (await renter.upload(terms, data)).state.value == "STORED"

    knock(tmp_path, story)


def test_a_key_that_asks_too_often_is_told_to_wait(tmp_path: Path) -> None:
    async def story(_: Rig, renter: Renter, raw: Raw) -> None:
        replies = [await raw.send("GET", f"/v1/channels/0x{renter.channel.hex()}") for _ in range(5)]
        assert [status for status, _ in replies] == [200, 200, 200, 200, 429]
        assert replies[4][1]["error"] == "RATE_LIMITED"
        assert replies[4][1]["detail"]["retry_after"] >= 1

    knock(tmp_path, story, limits=Limits(key_rate=0.01, key_burst=5))


def test_the_owner_asks_with_the_farmers_own_key(tmp_path: Path) -> None:
    async def story(rig: Rig, renter: Renter, _: Raw) -> None:
        await renter.pay(renter.voucher(700))
        async with Transport(rig.node_key, rig.clock, Patience(pause=0)) as owner:
            status = await owner.get(renter.target, "/v1/owner/status", StatusMessage)
            core = status.core()
            assert (core.claimable, core.channels[0].renter) == (700, renter.key.node)
            assert core == await rig.farmer.status()
            everything = ClaimAll(everything=True)
            report = await owner.post(renter.target, "/v1/owner/claim", everything, ClaimReport)
            assert [one.claimed for one in report.claims] == [700]
        refused = await refusal(
            renter.transport.post(renter.target, "/v1/owner/claim", everything, ClaimReport)
        )
        assert (refused.status, refused.error) == (404, "UNKNOWN_ROUTE")

    knock(tmp_path, story)


def test_the_owner_has_the_running_farmer_read_every_shard_at_once(tmp_path: Path) -> None:
    async def story(rig: Rig, renter: Renter, _: Raw) -> None:
        bad, good = await renter.store(content(5_000)), await renter.store(content(4_000))
        path = rig.farmer.farm.store.path(renter.name(bad))
        path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
        async with Transport(rig.node_key, rig.clock, Patience(pause=0)) as owner:
            told = await owner.post(renter.target, "/v1/owner/scan", ScanOn(began=0), ScanMessage)
            found = told.core()
            assert (found.shards, found.found, found.running) == (2, 1, False)
            assert rig.farmer.holdings().scan == found
            again = await owner.post(renter.target, "/v1/owner/scan", ScanOn(began=1), ScanMessage)
            assert again.core() == found
        assert (await renter.agreement(bad)).state is AgreementState.LOST
        await renter.pass_audit([good], 0)
        refused = await refusal(
            renter.transport.post(renter.target, "/v1/owner/scan", ScanOn(began=0), ScanMessage)
        )
        assert (refused.status, refused.error) == (404, "UNKNOWN_ROUTE")

    knock(tmp_path, story, scan_rate=0)


def test_the_owner_has_the_running_farmer_take_shards_out_of_its_trash(tmp_path: Path) -> None:
    async def story(rig: Rig, renter: Renter, _: Raw) -> None:
        terms = await renter.store(content(5_000))
        await renter.delete(terms)
        message = RestoreTrash(shards=(renter.name(terms), bytes(32)))
        async with Transport(rig.node_key, rig.clock, Patience(pause=0)) as owner:
            report = await owner.post(renter.target, "/v1/owner/trash", message, RestoreReport)
        assert [one.refusal for one in report.shards] == [None, Refusal.UNKNOWN]
        assert rig.farmer.holdings().trash.shards == 0
        assert (await renter.agreement(terms)).state is AgreementState.STORED
        await renter.pass_audit([terms], 0)
        refused = await refusal(
            renter.transport.post(renter.target, "/v1/owner/trash", message, RestoreReport)
        )
        assert (refused.status, refused.error) == (404, "UNKNOWN_ROUTE")

    knock(tmp_path, story)


def test_a_crash_within_is_told_by_name_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(_: Rig, renter: Renter, raw: Raw) -> None:
        def crash(*_: object) -> None:
            raise RuntimeError("an inner secret")

        monkeypatch.setattr("node.farmer.vouchers.see_channel", crash)
        got, said = await raw.send("GET", f"/v1/channels/0x{renter.channel.hex()}")
        assert (got, said["error"], said["detail"]) == (500, "INTERNAL", {})
        assert "secret" not in json.dumps(said)
        assert caplog.text.count("request_crashed error=RuntimeError") == 1

    knock(tmp_path, story)
