"""The model hub: whether published weights are here already, and whether it is in reach."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

PORT, SECONDS = 443, 3.0
WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def cached(repository: str | None, *names: str) -> str | None:
    """Return the first of these files that is in the cache of the model hub; ``None`` if none is.

    Parameters
    ----------
    repository
        ``OWNER/MODEL``; ``None`` for weights that are not on the hub.
    names
        Files of it, the usual names of weights if not said.
    """
    from huggingface_hub import try_to_load_from_cache

    if not repository:
        return None
    for name in names or WEIGHTS:
        found = try_to_load_from_cache(repository, name)
        if isinstance(found, str):
            return found
    return None


def need(address: str) -> None:
    """Return if the computer at this address answers, or a proxy stands before it.

    A library that fetches tries again and again for a minute before it says that there is no
    network; a person at a desk without one should not wait for that.

    Raises
    ------
    OSError
        It does not answer.
    """
    host = urlsplit(address).hostname or address
    if "https" in getproxies() and not proxy_bypass(host):
        return
    socket.create_connection((host, PORT), timeout=SECONDS).close()
