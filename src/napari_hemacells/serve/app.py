"""The page and what it asks: routes, one picture at a time, errors as plain sentences."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from napari_hemacells import __version__
from napari_hemacells.core.errors import HemaCellsError
from napari_hemacells.serve.guard import Guard
from napari_hemacells.serve.table import TYPES, TableRequest, make_table
from napari_hemacells.serve.uploads import read_body, read_picture, read_upload

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from napari_hemacells.serve.classifiers import ServedModel
    from napari_hemacells.serve.guard import Access
    from napari_hemacells.serve.limits import Limits
    from napari_hemacells.serve.uploads import Upload

HERE = Path(__file__).parent
BUSY = "Too many pictures are waiting. Send some of them again later."
UNEXPECTED = (
    "Something unexpected went wrong; the window in which the server runs says more. Try another "
    "picture, or start the server again."
)

Result = TypeVar("Result")


class Page:
    """The state of one server: its models, and the one worker that decodes and classifies.

    Parameters
    ----------
    models
        At least one.
    access
        Under which names and with which tokens it may be used.
    """

    def __init__(self, models: Sequence[ServedModel], access: Access, limits: Limits) -> None:
        self.models = {model.id: model for model in models}
        self.access = access
        self.limits = limits
        self._waiting = 0
        self._reading = asyncio.Semaphore(limits.reading)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pictures")
        environment = Environment(
            loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined
        )
        self._html = environment.get_template("page.html").render(
            models=[model.describe() for model in models],
            token=access.page_token,
            most=limits.pictures,
            megabytes=f"{limits.picture_bytes / 2**20:g}",
            version=__version__,
        )

    def app(self) -> ASGIApp:
        """Return the application, guarded."""
        routes = [
            Route("/", self.show, methods=["GET"]),
            Route("/classify", self.classify, methods=["POST"]),
            Route("/heat", self.heat, methods=["POST"]),
            Route("/table", self.table, methods=["POST"]),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ]
        handlers: dict[Any, Any] = {
            HTTPException: _tell_http,
            HemaCellsError: _tell,
            MemoryError: _tell_memory,
            Exception: _tell_unexpected,
        }
        starlette = Starlette(routes=routes, exception_handlers=handlers, lifespan=self._lifespan)
        return Guard(starlette, self.access)

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncGenerator[None, None]:
        yield
        self._worker.shutdown(wait=False, cancel_futures=True)

    async def show(self, _request: Request) -> Response:
        """Answer with the page."""
        return HTMLResponse(self._html)

    async def classify(self, request: Request) -> Response:
        """Answer with the class of one picture, as JSON."""
        return await self._ask(request, _classify)

    async def heat(self, request: Request) -> Response:
        """Answer with where the class of one picture comes from, as JSON."""
        return await self._ask(request, _heat)

    async def table(self, request: Request) -> Response:
        """Answer with the table of the answers that the page sends back."""
        async with self._admitted():
            return await self._make_table(request)

    async def _make_table(self, request: Request) -> Response:
        body = await read_body(request, self.limits.table_bytes, self.limits)
        try:
            wanted = TableRequest.model_validate_json(body)
        except ValidationError as error:
            raise HTTPException(
                400, "The table cannot be made of this: load the page again."
            ) from (error)
        bundle = self._model(wanted.model).bundle
        data = await self._work(partial(make_table, wanted, bundle))
        name = f"cells.{wanted.kind}"
        disposition = {"content-disposition": f'attachment; filename="{name}"'}
        return Response(data, media_type=TYPES[wanted.kind], headers=disposition)

    async def _ask(
        self, request: Request, job: Callable[[ServedModel, Upload], dict[str, Any]]
    ) -> Response:
        async with self._admitted():
            upload = await read_upload(request, self.limits)
            model = self._model(upload.model)
            return _json(await self._work(partial(job, model, upload)))

    @asynccontextmanager
    async def _admitted(self) -> AsyncGenerator[None, None]:
        """Wait until the body of a request may be read; refuse where too many wait."""
        if self._waiting >= self.limits.waiting:
            raise HTTPException(503, BUSY)
        self._waiting += 1
        try:
            async with self._reading:
                yield
        finally:
            self._waiting -= 1

    def _model(self, name: str) -> ServedModel:
        if name not in self.models:
            raise HTTPException(400, "There is no such model: load the page again.")
        return self.models[name]

    async def _work(self, job: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._worker, job)


def _classify(model: ServedModel, upload: Upload) -> dict[str, Any]:
    return {"image": upload.name, **model.classify(read_picture(upload))}


def _heat(model: ServedModel, upload: Upload) -> dict[str, Any]:
    return model.heat(read_picture(upload))


def _json(content: dict[str, Any], status: int = 200) -> Response:
    data = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Response(
        data.encode(errors="backslashreplace"), status_code=status, media_type="application/json"
    )


async def _tell(_request: Request, error: HemaCellsError) -> Response:
    return _json({"error": str(error)}, 422)


async def _tell_http(_request: Request, error: HTTPException) -> Response:
    return _json({"error": error.detail}, error.status_code)


async def _tell_memory(_request: Request, _error: MemoryError) -> Response:
    return _json({"error": "There is not enough memory for this picture."}, 507)


async def _tell_unexpected(_request: Request, _error: Exception) -> Response:
    return JSONResponse({"error": UNEXPECTED}, status_code=500)
