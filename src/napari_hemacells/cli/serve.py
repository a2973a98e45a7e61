"""``hemacells serve MODEL…``: a page in the browser on which single pictures are classified."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from napari_hemacells.cli.console import Reporter
from napari_hemacells.cli.options import NetworkDevice, RunOptions
from napari_hemacells.core.errors import HemaCellsError

Models = Annotated[
    list[Path], typer.Argument(metavar="MODEL", help="Saved models (their folders).")
]
Host = Annotated[
    str, typer.Option("--host", help="Address at which the page is shown. Default: this computer.")
]
Port = Annotated[
    int, typer.Option("--port", min=0, max=65535, help="Port of the page; 0 takes any free one.")
]
AllowNetwork = Annotated[
    bool,
    typer.Option(
        "--allow-network",
        help=(
            "Needed for a --host that others can reach. The printed address then holds a key that "
            "opens the page. What is sent is not encrypted."
        ),
    ),
]
MaxSize = Annotated[
    float, typer.Option("--max-mb", min=0.1, max=1024, help="Largest file, in megabytes.")
]
OpenBrowser = Annotated[
    bool, typer.Option("--open/--no-open", help="Open the page in the browser.")
]

MISSING = (
    "The page needs some more packages: pip install 'napari-hemacells[serve]' (missing: {name})."
)


def serve(
    models: Models,
    *,
    host: Host = "127.0.0.1",
    port: Port = 8765,
    allow_network: AllowNetwork = False,
    max_mb: MaxSize = 32.0,
    open_browser: OpenBrowser = True,
    device: NetworkDevice = "auto",
    run: RunOptions,
) -> None:
    """Show a page in the browser: drop pictures of single cells or thermograms, read their class.

    The page is for this computer alone, works offline and keeps nothing of a picture. Ctrl-C
    ends it.
    """
    try:
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401

        from napari_hemacells.serve.classifiers import load_classifiers
        from napari_hemacells.serve.limits import Limits
        from napari_hemacells.serve.server import (
            check_host,
            listen,
            make_access,
            make_server,
            page_address,
        )
    except ImportError as error:
        raise HemaCellsError(MISSING.format(name=error.name)) from error

    reporter = Reporter(quiet=run.quiet, json_to=None)
    check_host(host, allow_network=allow_network)
    with listen(host, port) as sock:
        loaded = load_classifiers(models, device)
        access = make_access(host, sock)
        server = make_server(
            loaded, access, Limits(picture_bytes=int(max_mb * 2**20)), debug=run.debug
        )
        address = page_address(access)
        reporter.errors.print(escape(f"The page is at {address} (Ctrl-C ends it)"))
        if access.key:
            reporter.warn("Others on the network can open it with this key; nothing is encrypted.")
        if open_browser and not access.key:
            typer.launch(address)
        server.run(sockets=[sock])
