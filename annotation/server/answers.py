"""What an answer of the server, or its absence, means: a fault that may pass, or words."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from annotation.server.faults import Fault, ServerError

_BUSY = {408, 425, 429, 500, 502, 503, 504}
_NOT_BEGUN = {425, 429}  # refused before anything was done
_BUSY_NOW = {429, 503}  # only a running server answers this
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)


def fault_of_connection(error: httpx.RequestError) -> Fault:
    """The fault of an attempt without an answer. Raises ServerError if it can never succeed."""
    if isinstance(error, httpx.UnsupportedProtocol | httpx.ProxyError):
        raise ServerError(f"the connection cannot be made: {error}") from None
    begun = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    if isinstance(error, httpx.TimeoutException):
        return Fault("no answer in time", begun)
    return Fault(f"the connection broke ({error})" if begun else f"no connection ({error})", begun)


def fault_of_answer(response: httpx.Response) -> Fault | None:
    """The fault of an answer that may be better later; None for all other answers."""
    status = response.status_code
    if status not in _BUSY:
        return None
    wait = _retry_after(response.headers.get("retry-after", ""))
    begun, is_over, is_there = status not in _NOT_BEGUN, status == 500, status in _BUSY_NOW
    return Fault(f"HTTP {status}", begun, wait, is_over, is_there)


def words_of(response: httpx.Response) -> str:
    """What a refusal says, in one line for people: neither raw JSON nor a web page."""
    text = response.text
    if _is_page(response):
        title = _TITLE.search(text)
        named = f" ({_line(html.unescape(title[1]))})" if title else ""
        return f"a web page{named} instead of an answer; is --url right?"
    try:
        said = "; ".join(_sentences(response.json()))
    except ValueError:
        said = ""
    return _line(said or text)


def _is_page(response: httpx.Response) -> bool:
    kind = str(response.headers.get("content-type", ""))
    return kind.startswith("text/html") or response.text[:200].lstrip().lower().startswith("<!doc")


def _sentences(answer: Any) -> Iterator[str]:
    """What Label Studio says in the JSON of a refusal."""
    if not isinstance(answer, Mapping):
        return
    faults = answer.get("validation_errors")
    if isinstance(faults, Mapping) and faults:
        for field, said in faults.items():
            words = " ".join(map(str, said)) if isinstance(said, list) else str(said)
            yield words if field == "non_field_errors" else f"{field}: {words}"
    elif answer.get("detail"):
        yield str(answer["detail"])


def _line(text: str) -> str:
    return " ".join(text.split())


def _retry_after(text: str) -> float | None:
    """Seconds, of a header that holds seconds or a date; None if it holds neither."""
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None
