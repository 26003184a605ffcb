"""One Label Studio server, spoken to over HTTP: the only network code.

A request is repeated where that is harmless (reading, or the server never saw it). Where it may
already have been carried out, the caller gets an `UnsureError` and looks before anything is made
again. Why this is not the SDK's client: see docs/decisions.md.
"""

from __future__ import annotations

import itertools
import json
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from annotation.server.access import (
    TOKEN_HELP,
    access_ends,
    checked_token,
    checked_url,
    is_loopback,
)
from annotation.server.answers import fault_of_answer, fault_of_connection, words_of
from annotation.server.faults import (
    Fault,
    OutageError,
    RefusedError,
    ServerError,
    UnsureError,
)
from annotation.settings import Patience
from manifests.documents import parse_json

Json = Any  # what the server sends; its readers check it
_Read = Callable[[httpx.Response], Json]  # raises ValueError if the answer is cut short
# Where the root of a server sends a browser
_ENTRY = re.compile(r"(?:https?://[^/]+)?(?P<path>(?:/[\w.~-]+)*)/(?:user/login|projects)/?")
_EXCERPT = 300  # letters of a server's answer that are shown


class Client:
    """A session with one server. Use as a context manager; `say` gets a line for each long wait."""

    def __init__(
        self,
        url: str,
        token: str,
        patience: Patience | None = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.url, self._token = checked_url(url), checked_token(token)
        self.patience, self._say = patience or Patience(), say
        self._is_personal = self._token.count(".") == 2  # a JWT; legacy ones are hex digits
        self._access, self._access_ends = "", 0.0
        self._reached = False  # it has answered as Label Studio does
        self._is_there = False  # or has asked for time
        self._http = httpx.Client(
            base_url=self.url,
            timeout=httpx.Timeout(self.patience.answer, connect=self.patience.connect),
            trust_env=not is_loopback(self.url),  # a company's proxy cannot reach this machine
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def get(self, path: str, **params: str | int) -> Json:
        """The JSON at a path below the server's URL."""
        return self._send("GET", path, _json, repeatable=True, params=params)

    def get_bytes(self, path: str) -> bytes:
        """A file below the server's URL. Raises ValueError if the path makes no URL."""
        try:
            return bytes(self._send("GET", path, _bytes, repeatable=True))
        except httpx.InvalidURL as error:
            raise ValueError(str(error)) from error

    def browser_path(self) -> str:
        """What stands before the paths of the server in a browser's address; "" at the root.

        The server says it where it was set up for a path (`LABEL_STUDIO_HOST`), which may be
        another than ours, if we reach it inside and browsers through a proxy.
        """
        own = urlsplit(self.url).path
        try:
            self.get_bytes("/")
        except RefusedError as error:
            said = _ENTRY.fullmatch(error.location)
            return said["path"] if said and said["path"] else own
        return own

    def post(self, path: str, body: bytes | Json, **params: str | int) -> Json:
        """Make something; a body of bytes is JSON already.

        Raises UnsureError if it may or may not have been made.
        """
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._send("POST", path, _json, repeatable=False, content=data, params=params)

    def post_file(self, path: str, name: str, data: bytes, **params: str | int) -> Json:
        """Send a file as a form would. Raises UnsureError as `post` does."""
        files = {"file": (name, data)}
        return self._send("POST", path, _json, repeatable=False, files=files, params=params)

    def patch(self, path: str, body: Json) -> Json:
        """Set fields to values: the same however often it is done."""
        data = json.dumps(body).encode()
        return self._send("PATCH", path, _json, repeatable=True, content=data)

    def delete(self, path: str) -> None:
        """Remove something; it is not an error if it is gone already."""
        try:
            self._send("DELETE", path, _bytes, repeatable=True)
        except RefusedError as error:
            if error.status != 404:
                raise

    def settled(self, error: UnsureError, look: Callable[[], bool]) -> bool:
        """Whether `look` finds the thing made after all, once the server had time for it.

        A server goes on with a request whose sender has gone.
        """
        self._say(f"{error}; looking whether it was done")
        end = time.monotonic() + (0 if error.is_over else self.patience.settle)
        for pause in self.pauses():
            if look():
                return True
            if time.monotonic() >= end:
                return False
            time.sleep(min(pause, max(0.0, end - time.monotonic())))
        raise AssertionError("pauses never end")

    def _send(
        self, method: str, path: str, read: _Read, *, repeatable: bool, **content: Any
    ) -> Json:
        """Send until there is an answer, patience ends, or repeating could do harm."""
        begin = time.monotonic()
        for pause in self.pauses():
            answer = self._attempt(method, path, read, content)
            if not isinstance(answer, Fault):
                self._reached = self._is_there = True
                return answer
            self._is_there |= answer.is_there
            what = f"{self.url}: {method} {path}: {self._scrub(answer.reason)}"
            if answer.begun and not repeatable:
                raise UnsureError(what, answer.is_over)
            wait = pause if answer.wait is None else max(answer.wait, pause)
            patience = self.patience.outage if self._is_there else self.patience.first
            if time.monotonic() + wait > begin + patience:
                raise OutageError(self._gave_up(what, answer))
            if wait >= 2:
                self._say(f"{what}; again in {wait:.0f} s")
            time.sleep(wait)
        raise AssertionError("pauses never end")

    def _gave_up(self, what: str, fault: Fault) -> str:
        if fault.wait is not None and fault.wait > self.patience.outage:
            return f"{what}; the server asks to wait {fault.wait:.0f} s"
        if not self._is_there:
            return f"{what}; is the server running, and is this its URL (--url)?"
        return f"{what}; it did not come back in time"

    def _attempt(
        self, method: str, path: str, read: _Read, content: Mapping[str, Any]
    ) -> Json | Fault:
        """The server's answer to one attempt, or the fault that it met."""
        for is_fresh in (False, True):
            try:
                headers = {"Authorization": self._authorization(is_fresh)}
            except _NoAccessError as error:
                return error.fault
            if "content" in content:
                headers["Content-Type"] = "application/json"
            wait = self.patience.answer if method == "GET" else self.patience.work
            timeout = httpx.Timeout(wait, connect=self.patience.connect)
            try:
                response = self._http.request(
                    method, path, headers=headers, timeout=timeout, **content
                )
            except httpx.RequestError as error:
                return fault_of_connection(error)
            if response.status_code != 401 or not self._is_personal:
                break  # else access may have run out between two clocks
        fault = self._judge(method, path, response)
        if fault is not None:
            return fault
        try:
            return read(response)
        except ValueError:
            if not self._reached:
                raise ServerError(f"{self.url}: this is not a Label Studio server") from None
            return Fault(f"an answer of {len(response.content)} bytes that is cut short", True)

    def _judge(self, method: str, path: str, response: httpx.Response) -> Fault | None:
        """None if the answer is good, a fault if it may be better later; else raises."""
        if response.is_success:
            return None
        fault = fault_of_answer(response)
        if fault is not None:
            return fault
        status = response.status_code
        if status == 401:
            raise RefusedError(f"{self.url}: 401, the token is refused; {TOKEN_HELP}", status)
        what = f"{self.url}: {method} {path}: HTTP {status}"
        if response.is_redirect:
            where = self._scrub(response.headers.get("location", "").split("?")[0])
            words = f"moved to {where}; is --url right?"
            raise RefusedError(f"{what}, {words}", status, words, where)
        words = self._scrub(words_of(response))[:_EXCERPT]
        raise RefusedError(f"{what}: {words}", status, words)

    def _authorization(self, is_fresh: bool) -> str:
        """A legacy token is sent as it is; a personal one is exchanged for an access token that is
        valid for some minutes."""
        if not self._is_personal:
            return f"Token {self._token}"
        if is_fresh or time.time() > self._access_ends - 20:
            self._access = self._fetch_access()
            self._access_ends = access_ends(self._access)
        return f"Bearer {self._access}"

    def _fetch_access(self) -> str:
        path = "/api/token/refresh/"
        try:
            response = self._http.post(path, json={"refresh": self._token})
        except httpx.RequestError as error:
            raise _NoAccessError(fault_of_connection(error)) from None
        if response.status_code in {400, 403, 404}:
            raise RefusedError(f"{self.url}: 401, the token is refused; {TOKEN_HELP}", 401)
        fault = self._judge("POST", path, response)
        if fault is not None:
            raise _NoAccessError(fault)
        try:
            return str(response.json()["access"])
        except (ValueError, KeyError, TypeError):
            raise _NoAccessError(Fault("an access token that is cut short", False)) from None

    def pauses(self) -> Iterator[float]:
        """Seconds to wait: doubling, and never in step with other clients."""
        first, longest = self.patience.pause, self.patience.longest_pause
        doubling = (min(first * 2**n, longest) for n in itertools.count())
        return (pause * random.uniform(0.8, 1.2) for pause in doubling)

    def _scrub(self, text: str) -> str:
        for secret in (self._token, self._access):
            if secret:
                text = text.replace(secret, "[token]")
        return text


class _NoAccessError(Exception):
    """No access token could be had; the request itself was not sent."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.reason)
        self.fault = fault._replace(begun=False)


def _json(response: httpx.Response) -> Json:
    return parse_json(response.content) if response.content else None


def _bytes(response: httpx.Response) -> bytes:
    return response.content


def is_up(url: str) -> bool:
    """Whether a Label Studio server at the URL is ready."""
    try:
        return bool(httpx.get(f"{url}/health", timeout=5, trust_env=False).json()["status"] == "UP")
    except (httpx.RequestError, ValueError, KeyError, TypeError):
        return False
