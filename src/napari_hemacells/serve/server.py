"""Start the server that shows the page, and end it."""

from __future__ import annotations

import secrets
import socket
from typing import TYPE_CHECKING

from napari_hemacells.core.errors import HemaCellsError
from napari_hemacells.serve.guard import Access, is_loopback

if TYPE_CHECKING:
    from collections.abc import Sequence

    import uvicorn

    from napari_hemacells.serve.classifiers import ServedModel
    from napari_hemacells.serve.limits import Limits


class ServeError(HemaCellsError):
    """The page cannot be shown at this address."""


def check_host(host: str, *, allow_network: bool) -> None:
    """Refuse an address that others can reach, unless that is wanted.

    Raises
    ------
    ServeError
        With the option to give.
    """
    if not is_loopback(host) and not allow_network:
        raise ServeError(
            f"Others on the network could reach the page at {host}. If that is wanted, add "
            "--allow-network: a key in the address then opens it. Without --host, only this "
            "computer can."
        )


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes any that is free.

    Raises
    ------
    ServeError
        The address cannot be used.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, proto)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(128)
    except (OSError, OverflowError) as error:
        raise ServeError(
            f"The page cannot be shown at {host}, port {port} ({error}): choose another with "
            "--port, or end the other program that uses it."
        ) from error
    return sock


def make_access(host: str, sock: socket.socket) -> Access:
    """Return under which names and with which tokens the page may be used."""
    key = "" if is_loopback(host) else secrets.token_urlsafe(24)
    return Access(host, int(sock.getsockname()[1]), key)


def page_address(access: Access) -> str:
    """Return the address to open, its key included where it needs one."""
    host = access.host
    if host in {"0.0.0.0", "::", ""}:  # noqa: S104  # every address: named by this computer's name
        host = socket.gethostname()
    host = f"[{host}]" if ":" in host else host
    key = f"?key={access.key}" if access.key else ""
    return f"http://{host}:{access.port}/{key}"


def make_server(
    models: Sequence[ServedModel], access: Access, limits: Limits, *, debug: bool = False
) -> uvicorn.Server:
    """Return the server, to be run on the socket that :func:`listen` gave."""
    import uvicorn

    from napari_hemacells.serve.app import Page

    config = uvicorn.Config(
        Page(models, access, limits).app(),
        log_level="debug" if debug else "error",
        access_log=False,
        server_header=False,
        ws="none",
        http="h11",
        lifespan="on",
        timeout_keep_alive=5,
        timeout_graceful_shutdown=3,
    )
    return uvicorn.Server(config)
