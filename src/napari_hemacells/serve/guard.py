"""Who may use the page: this computer's own browser, and on a network who has the token.

A page elsewhere in the same browser must not be able to use it. Requests are known by their host
(a name that an attacker's DNS points here is refused), by their origin, and by a token that only
the page itself can read.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "hemacells"
TOKEN_HEADER = "x-hemacells-token"  # noqa: S105  # the name of a header
SAFE_METHODS = frozenset({"GET", "HEAD"})
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}


def is_loopback(host: str) -> bool:
    """Whether a host is this computer alone."""
    if host.casefold() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Access:
    """Under which names the page is there, and the tokens that open it.

    Attributes
    ----------
    host, port
        Where the server listens.
    key
        What opens the page where others can reach it; empty on this computer alone.
    page_token
        In the page itself: what was not sent by the page does not have it.
    """

    host: str
    port: int
    key: str = ""
    page_token: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    def knows_host(self, stated: str) -> bool:
        """Whether the header ``Host`` names this server.

        On this computer alone, only its own names count; on a network, any address as a number
        and the name of this computer: names that somebody else gives are not known.
        """
        try:
            parts = urlsplit(f"//{stated}")
            name, port = parts.hostname, parts.port or 80
        except ValueError:
            return False
        if name is None or parts.username is not None or parts.path or port != self.port:
            return False
        if is_loopback(name):
            return True
        if is_loopback(self.host):
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in {self.host.casefold(), socket.gethostname().casefold()}
        return True

    def is_open_to(self, headers: Headers) -> bool:
        """Whether a request has the key, in its cookie or as a bearer."""
        if not self.key:
            return True
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        return _same(bearer, self.key) or _same(_cookie(headers), self.key)


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _cookie(headers: Headers) -> str:
    try:
        cookie = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return cookie[COOKIE].value if COOKIE in cookie else ""


class Guard:
    """Refuses what does not come from the page itself; adds the headers of every answer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app = app
        self.access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request, or answer why not."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        if scope["type"] != "http":
            return  # no WebSocket is spoken here
        refusal = self._refusal(scope)
        await (refusal or self.app)(scope, receive, send_safely)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self.access.knows_host(hosts[0]):
            return _refuse("This address is not the page's own. Open the one that was printed.")
        if not self._from_here(headers, hosts[0], scope["method"]):
            return _refuse("Another page asked for this. Open the page itself.")
        if not self.access.is_open_to(headers):
            return self._ask_for_key(scope)
        if scope["method"] not in SAFE_METHODS and not _same(
            headers.get(TOKEN_HEADER, ""), self.access.page_token
        ):
            return _refuse("The page is of an earlier start of the server: load it again.")
        return None

    def _from_here(self, headers: Headers, host: str, method: str) -> bool:
        origin = headers.get("origin")
        if origin is not None and origin != f"http://{host}":
            return False
        site = headers.get("sec-fetch-site", "none")
        if method in SAFE_METHODS and headers.get("sec-fetch-mode") == "navigate":
            return True  # a link from elsewhere may open the page; it cannot read it
        return site in {"same-origin", "none"}

    def _ask_for_key(self, scope: Scope) -> Response:
        given = parse_qs(scope["query_string"].decode("latin-1")).get("key", [""])[0]
        if scope["method"] == "GET" and scope["path"] == "/" and _same(given, self.access.key):
            answer = RedirectResponse("/", status_code=303)  # the key leaves the address
            answer.set_cookie(COOKIE, given, httponly=True, samesite="strict")
            return answer
        return _refuse("This page needs its key: open the whole address that was printed.", 401)


def _refuse(sentence: str, status: int = 403) -> Response:
    return JSONResponse({"error": sentence}, status_code=status)
