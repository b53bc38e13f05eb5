"""A provider's key is in its URL: neither errors nor logs show it, whoever has written the sentence."""

import json
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from settlement.errors import ChainError, ChainUnreachable, NodeRefused, SignerUnreachable, WrongChain
from settlement.rpc import Rpc
from settlement.urls import public_text, public_url
from tests.settlement.support import run

KEY = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("embedded", "embedded"),
        ("http://127.0.0.1:8545", "http://127.0.0.1:8545"),
        ("http://127.0.0.1:8545/", "http://127.0.0.1:8545"),
        ("https://me:secret@rpc.example/v3/0123456789abcdef", "https://rpc.example/..."),
        ("https://rpc.example/short", "https://rpc.example/..."),
        ("https://rpc.example?key=secret", "https://rpc.example/..."),
        ("http://[::1]:8545/v3/0123456789abcdef", "http://[::1]:8545/..."),
    ],
)
def test_what_may_be_secret_in_a_url_is_not_shown(url: str, shown: str) -> None:
    assert public_url(url) == shown
    sentence = "no answer at {} (refused); try again"
    assert public_text(sentence.format(url)) == sentence.format(shown if "//" in shown else url)


def test_of_several_urls_none_shows_a_secret() -> None:
    urls = "http://127.0.0.1:8545,https://me:pw@rpc.example/v3/0123456789abcdef"
    assert public_url(urls) == "http://127.0.0.1:8545,https://rpc.example/..."


@pytest.mark.parametrize(
    "error",
    [
        ChainUnreachable(f"https://rpc.example/v3/{KEY}", f"403, url='https://rpc.example/v3/{KEY}'"),
        WrongChain(f"https://rpc.example/v3/{KEY}", 1, 2),
        SignerUnreachable(f"http://me:{KEY}@127.0.0.1:8550", "refused"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_keep_no_secret_of_a_url(error: Exception) -> None:
    assert KEY not in f"{error} {vars(error)} {error.args}"
    assert "https://rpc.example/..." in str(error) or "127.0.0.1:8550" in str(error)


@contextmanager
def provider(status: int) -> Iterator[str]:
    """A provider that refuses its customer, and tells the key in doing so; its URL."""

    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            asked = json.loads(self.rfile.read(length))
            error = {"code": -32005, "message": f"project {KEY} has used up its requests"}
            body = json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": error}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v3/{KEY}"
        server.shutdown()


@pytest.mark.parametrize(("status", "error"), [(200, NodeRefused), (403, ChainUnreachable)])
def test_what_a_provider_says_to_its_customer_is_told_without_the_key(
    status: int, error: type[ChainError], caplog: pytest.LogCaptureFixture
) -> None:
    async def story(url: str) -> None:
        async with await Rpc.open(f"{url},http://127.0.0.1:9/{KEY}") as rpc:
            with caplog.at_level(logging.INFO, "tithebarn"), pytest.raises(error) as caught:
                await rpc.balance(bytes(20))  # type: ignore[arg-type]
            told = "".join(traceback.format_exception(caught.value))
            assert "test_urls.py" in told
            assert KEY not in caplog.text + told + str(vars(caught.value))

    with provider(status) as url:
        run(story(url))
