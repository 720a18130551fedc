"""Who may ask, and what a browser may do with the answers.

The page decides things about people's photos, so pages of other sites must not be able to ask in the user's name, nor
read its answers: names that lead here without being this machine's (DNS rebinding) are refused by the Host header,
requests that another site makes by Origin and Sec-Fetch-Site. Other users of this machine are told by their sockets
(`peers`). Beyond this machine a token says who may ask.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import socket
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facewatch.errors import WebError
from facewatch.presentation.html import render
from facewatch.presentation.refusals import (
    FOREIGN_NAME,
    FOREIGN_SITE,
    FOREIGN_USER,
    NEEDS_TOKEN,
    WRONG_TOKENS,
    too_large,
)

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

ASKED_AGAIN = "private, no-cache"
"""A browser may keep an answer, and asks each time whether it is still right: else it would go on with the scripts of
an older version."""

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

MOST_BYTES = 1_000_000
"""Of what is sent, but for a photo to search by."""
MOST_PHOTO_BYTES = 64_000_000
"""Its pixels are bounded as those of the library are (library.max_megapixels)."""
PHOTO_PATHS = frozenset({"/search", "/api/v1/search"})

IS_OWN = "is_own"
"""In the state of a request: whether a program of this user makes it; absent: nobody asked."""

COOKIE_SECONDS = 365 * 86_400
LOGIN = "/login"

MOST_ATTEMPTS = 5
ATTEMPT_SECONDS = 60.0
"""Wrong tokens within so long, from one address, after which none is looked at for a while. A token has 256 bits: this
keeps the log short rather than the door shut."""
MOST_ADDRESSES = 1000
"""Of which wrong tokens are counted."""


def new_token() -> str:
    """Return a token that nobody guesses."""
    return secrets.token_urlsafe(32)


def digest_of(token: str) -> str:
    """Return what is stored of a token. It has 256 random bits, so that one round of a fast hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def check_is_guarded(listening_at: str, hosts: Collection[str], token: str | None) -> None:
    """Refuse to let anybody in from elsewhere without a token.

    Raises:
        WebError: other machines reach the address, or a proxy hands on these names, and there is no token.
    """
    makes = "`facewatch web --new-token` makes one"
    if token is None and not is_loopback(listening_at):
        raise WebError(f"{listening_at}: other machines reach it, so it needs a token: {makes}")
    if token is None and hosts:
        raise WebError(f"web.hosts: a proxy lets others in, so it needs a token: {makes}")


def is_loopback(host: str) -> bool:
    """Whether an address that is listened at is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class AccessRules:
    """What is asked of those who ask."""

    hosts: frozenset[str] = LOCAL_NAMES
    """Names under which the page may be reached, lower case, without ports."""
    allows_addresses: bool = False
    """And any IP address: a name of a stranger's cannot be one."""
    token: str | None = None
    """Its digest; None: nobody is asked for one."""

    @classmethod
    def of(cls, listening_at: str, hosts: Collection[str], token: str | None) -> AccessRules:
        """Return the rules for an address that is listened at, and names that a proxy hands on."""
        names = LOCAL_NAMES | {name.lower() for name in hosts}
        if is_loopback(listening_at):
            return cls(frozenset(names), token=token)
        own = socket.gethostname().lower()
        return cls(frozenset({*names, own, f"{own.partition('.')[0]}.local"}), allows_addresses=True, token=token)

    def allows_host(self, header: str) -> bool:
        """Whether a Host header names this page."""
        try:
            name = urlsplit(f"//{header}").hostname or ""
        except ValueError:
            return False
        if name in self.hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return self.allows_addresses


def is_foreign(headers: Mapping[str, str], *, is_safe: bool) -> bool:
    """Whether another site makes the request; programs that are no browsers send none of these headers.

    A link from another site may open a page, but nothing may be fetched or decided from there.
    """
    site = headers.get("sec-fetch-site", "")
    if is_safe:
        return site in ("cross-site", "same-site") and headers.get("sec-fetch-mode", "") != "navigate"
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("host", ""):
        return True
    return site not in ("", "same-origin", "none")


class Guard:
    """Lets through only what the rules allow, and adds the headers that every answer has."""

    def __init__(self, app: ASGIApp, rules: AccessRules, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._rules = rules
        self._attempts = _Attempts(clock)
        # Cookies are kept by the name of a machine, without the port. That of another page, or of an earlier token,
        # is none.
        self._cookie = f"facewatch-{(rules.token or '')[:8]}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", ASKED_AGAIN)
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None and self._rules.token is not None and not _is_open(scope["path"]):
            refusal = await self._ask_for_token(scope, receive)
        if refusal is not None:
            await refusal(scope, receive, guarded)
            return
        await self._app(scope, _Bounded(receive, _most_bytes(scope["path"])), guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if not self._rules.allows_host(headers.get("host", "")):
            return refused(scope, 421, FOREIGN_NAME)
        if self._rules.token is None and not scope.get("state", {}).get(IS_OWN, True):
            return refused(scope, 403, FOREIGN_USER)
        if is_foreign(headers, is_safe=scope["method"] in SAFE):
            return refused(scope, 403, FOREIGN_SITE)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > _most_bytes(scope["path"]):
            return refused(scope, 413, too_large(_most_bytes(scope["path"])))
        return None

    async def _ask_for_token(self, scope: Scope, receive: Receive) -> Response | None:
        """Return what is answered to who has not said the token yet; None: it was said."""
        given = _token_in(Headers(scope=scope), self._cookie)
        if self._is_right(given):
            return RedirectResponse(_next_in(scope), 303) if scope["path"] == LOGIN else None
        client = str(next(iter(scope.get("client") or ()), ""))
        if self._attempts.are_too_many(client):
            return refused(scope, 429, WRONG_TOKENS)
        if scope["path"] == LOGIN and scope["method"] == "POST":
            return await self._log_in(scope, receive, client)
        if given:
            self._attempts.add(client)
        if scope["path"] == LOGIN:
            return HTMLResponse(_login_page())
        if scope["path"].startswith("/api/") or scope["method"] not in SAFE:
            return refused(scope, 401, NEEDS_TOKEN)
        wanted = scope["path"] + (f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else "")
        return RedirectResponse(f"{LOGIN}?next={quote(wanted, safe='/')}", 303)

    async def _log_in(self, scope: Scope, receive: Receive, client: str) -> Response:
        try:
            body = await Request(scope, _Bounded(receive, MOST_BYTES)).body()
        except HTTPException as error:  # nobody outside of the guard makes an answer of it
            return refused(scope, error.status_code, error.detail)
        given = parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0].strip()
        if not self._is_right(given):
            self._attempts.add(client)
            return HTMLResponse(_login_page(is_wrong=True), 401)
        answer = RedirectResponse(_next_in(scope), 303)
        is_secure = scope["scheme"] == "https" or Headers(scope=scope).get("x-forwarded-proto") == "https"
        answer.set_cookie(
            self._cookie, given, max_age=COOKIE_SECONDS, httponly=True, samesite="strict", secure=is_secure, path="/"
        )
        return answer

    def _is_right(self, token: str) -> bool:
        return bool(token) and hmac.compare_digest(digest_of(token), self._rules.token or "")


def _is_open(path: str) -> bool:
    """Whether a path is for everybody: what the page of the token looks like."""
    return path.startswith("/static/")


def _most_bytes(path: str) -> int:
    return MOST_PHOTO_BYTES if path in PHOTO_PATHS else MOST_BYTES


def _next_in(scope: Scope) -> str:
    """Return the path of this page to which the token leads."""
    wanted = parse_qs(scope["query_string"].decode("latin-1")).get("next", ["/"])[0]
    return wanted if wanted.startswith("/") and not wanted.startswith(("//", "/\\")) else "/"


def _token_in(headers: Headers, cookie_name: str) -> str:
    """Return the token that a request brings, "": none."""
    kind, _, token = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return token.strip()
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(cookie_name)
    except CookieError:
        return ""
    return cookie.value if cookie else ""


def refused(scope: Scope, status: int, sentence: str) -> Response:
    if scope["path"].startswith("/api/"):
        return JSONResponse({"error": sentence}, status)
    return HTMLResponse(render("web/error.html", status=status, sentence=sentence, current="error"), status)


def _login_page(*, is_wrong: bool = False) -> str:
    return render("web/login.html", is_wrong=is_wrong, current="")


@dataclass(slots=True)
class _Attempts:
    """Wrong tokens, by the address that they came from."""

    clock: Callable[[], float]
    _times: dict[str, deque[float]] = field(default_factory=dict)

    def add(self, client: str) -> None:
        times = self._times.pop(client, None) or deque(maxlen=MOST_ATTEMPTS)
        times.append(self.clock())
        self._times[client] = times
        while len(self._times) > MOST_ADDRESSES:
            del self._times[next(iter(self._times))]

    def are_too_many(self, client: str) -> bool:
        times = self._times.get(client, deque())
        return len(times) == MOST_ATTEMPTS and self.clock() - times[0] < ATTEMPT_SECONDS


class _Bounded:
    """Receives a request's body, no more of it than it may be: what says its length is refused before it is read, and
    this is for what does not say it.

    Raises:
        HTTPException: 413.
    """

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive = receive
        self._most = self._left = most

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise HTTPException(413, too_large(self._most))
        return message
