"""URLs as they may be shown: providers of chains put their customers' keys into them. Pure."""

import re
from typing import Final
from urllib.parse import parse_qsl, urlsplit

_URL: Final = re.compile(
    r"https?://(?:[^\s'\"<>()\[\],;/]*\[[0-9a-fA-F:.]*\])?"
    r"(?:[^\s'\"<>()\[\],;]*[^\s'\"<>()\[\],;.:])?"
)
_SHORTEST_SECRET: Final = 8


def public_url(url: str) -> str:
    """Write a URL, or several, without what may be secret: user, path (API keys) and query."""
    if "," in url:
        return ",".join(map(public_url, url.split(",")))
    scheme, slashes, rest = url.partition("://")
    if not slashes:
        return url
    authority, *more = re.split(r"[/?#]", rest, maxsplit=1)
    return f"{scheme}://{authority.rpartition('@')[2]}" + ("/..." if any(more) else "")


def public_text(text: str) -> str:
    """Write a text with every URL in it as public_url would."""
    return _URL.sub(lambda match: public_url(match[0]), text)


def hide_url(text: str, url: str) -> str:
    """Write a text that somebody who knows this URL has made: without it, and without its secret parts."""
    parts = urlsplit(url)
    values = [value for _, value in parse_qsl(parts.query)]
    secrets = [parts.username or "", parts.password or "", *parts.path.split("/"), *values]
    text = text.replace(url, public_url(url))
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "...")
    return public_text(text)
