"""A small clef: a JSON-RPC server that keeps a key and signs transactions and typed data with eth-account."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from eth_account import Account
from eth_account.messages import encode_typed_data

from payments.vouchers import SigningKey


@dataclass
class Clef:
    """A signer and its owner.

    hesitates: called before the owner decides. denies: the owner says no. changes: what it changes before
    it signs. seen: all requests.
    """

    key: SigningKey
    url: str = ""
    denies: bool = False
    hesitates: Callable[[], object] = lambda: None
    changes: dict[str, str] = field(default_factory=dict)
    seen: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        self.seen.append(request)
        self.hesitates()
        if self.denies:
            return {"error": {"code": -32000, "message": "request denied"}}
        if request["method"] == "account_signTypedData":
            return self._sign_typed(*request["params"])
        if request["method"] != "account_signTransaction":
            return {"error": {"code": -32601, "message": "the method does not exist"}}
        (asked,) = request["params"]
        fields = {name: value for name, value in {**asked, **self.changes}.items() if value is not None}
        if bytes.fromhex(fields.pop("from")[2:]) != self.key.address:
            return {"error": {"code": -32000, "message": "unknown account"}}
        if "to" in fields:
            fields["to"] = bytes.fromhex(fields["to"][2:])
        signed = Account.from_key(self.key.secret).sign_transaction(fields)
        shown = {name: hex(getattr(signed, name)) for name in ("r", "s", "v")}
        return {"result": {"raw": signed.raw_transaction.to_0x_hex(), "tx": {**asked, **shown}}}

    def _sign_typed(self, account: str, data: dict[str, Any]) -> dict[str, Any]:
        if bytes.fromhex(account[2:]) != self.key.address:
            return {"error": {"code": -32000, "message": "unknown account"}}
        changed = {**data, "message": {**data["message"], **self.changes}}
        signed = Account.from_key(self.key.secret).sign_message(encode_typed_data(full_message=changed))
        return {"result": signed.signature.to_0x_hex()}


@contextmanager
def clef(key: SigningKey) -> Iterator[Clef]:
    """Run one on a free port of this machine."""
    signer = Clef(key)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps({"jsonrpc": "2.0", "id": request["id"], **signer.answer(request)}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    signer.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield signer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
