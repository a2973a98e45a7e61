"""What the server refuses, bounds and forgets, asked without a browser."""

from __future__ import annotations

import asyncio
import json
import socket
import tempfile
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest
from PIL import Image

from napari_hemacells.serve.guard import Access
from napari_hemacells.serve.limits import Limits
from napari_hemacells.serve.server import ServeError, check_host, listen, page_address
from napari_hemacells.serve.uploads import safe_name

from .conftest import COLOURS, draw, make_model, running

if TYPE_CHECKING:
    from pathlib import Path

EVERYWHERE = "0.0.0.0"  # noqa: S104  # what is refused, and what the key is for


def ask(client: httpx.Client, path: str = "/classify", name="a.png", data=b"x", **more):
    files = {"picture": (name, data)}
    return client.post(path, files=files, data={"model": "model-5"}, **more)


def png(colour: tuple[int, int, int], seed: int = 0) -> bytes:
    import io

    stream = io.BytesIO()
    Image.fromarray(draw(colour, seed)).save(stream, format="PNG")
    return stream.getvalue()


def test_a_hundred_requests_at_once(server) -> None:
    """Every answer is that of its own picture."""
    kinds = [list(COLOURS)[number % 2] for number in range(100)]

    async def ask_all() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=100)
        async with httpx.AsyncClient(
            base_url=server.address, headers=server.token, timeout=240, limits=limits
        ) as client:
            return await asyncio.gather(
                *(
                    client.post(
                        "/classify",
                        files={"picture": (f"{n}.png", png(COLOURS[kind], n))},
                        data={"model": "model-5"},
                    )
                    for n, kind in enumerate(kinds)
                )
            )

    answers = asyncio.run(ask_all())
    assert {answer.status_code for answer in answers} == {200}
    assert [answer.json()["class"] for answer in answers] == kinds
    assert [answer.json()["image"] for answer in answers] == [f"{n}.png" for n in range(100)]


def test_nothing_is_left_on_the_disk(server, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with server.client() as client:
        assert ask(client, data=png(COLOURS["red"])).status_code == 200
        assert ask(client, "/heat", data=png(COLOURS["red"])).status_code == 200
        assert ask(client, data=b"no picture").status_code == 422
        assert ask(client, name="../../../x.png", data=png(COLOURS["red"])).status_code == 200
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize(
    "host", ["evil.test", "evil.test:{port}", "127.0.0.1:1", "127.0.0.1.evil.test:{port}", "",
             "192.168.1.5:{port}", "a@127.0.0.1:{port}", "127.0.0.1:{port}/x", "[::1"],
)  # fmt: skip
def test_another_host_is_refused(server, host: str) -> None:
    with server.client() as client:
        named = host.format(port=server.access.port)
        assert client.get("/", headers={"Host": named}).status_code in {400, 403}
        refused = ask(client, data=png(COLOURS["red"]), headers={"Host": named})
        assert refused.status_code in {400, 403}
        assert server.access.page_token not in refused.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.test"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"X-HemaCells-Token": "guess"},
        {"X-HemaCells-Token": ""},
    ],
)
@pytest.mark.parametrize("path", ["/classify", "/heat", "/table"])
def test_another_origin_and_a_wrong_token_are_refused(server, headers, path: str) -> None:
    with server.client() as client:
        answer = ask(client, path, data=png(COLOURS["red"]), headers=headers)
        assert answer.status_code == 403
        assert set(answer.json()) == {"error"}


def test_every_answer_has_the_headers_that_protect_it(server) -> None:
    with server.client() as client:
        answers = [
            client.get("/"), client.get("/static/page.js"), client.get("/nothing"),
            client.get("/static/../app.py"), client.get("/static/%2e%2e/app.py"),
            client.put("/classify"), ask(client),
        ]  # fmt: skip
    assert [one.status_code for one in answers] == [200, 200, 404, 404, 404, 405, 422]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in answer.headers
        assert "server" not in answer.headers


def test_too_large_is_refused_before_it_is_read(server) -> None:
    stated = (
        f"POST /classify HTTP/1.1\r\nHost: 127.0.0.1:{server.access.port}\r\n"
        f"X-HemaCells-Token: {server.access.page_token}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 99999999999\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.access.port), timeout=30) as link:
        link.sendall(stated.encode())
        assert b" 413 " in link.recv(4096)  # no byte of the body was sent

    def endless():
        for _ in range(64):
            yield b"0" * 2**20

    with server.client() as client:
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        try:
            status = client.post("/classify", content=endless(), headers=kind).status_code
        except (httpx.WriteError, httpx.RemoteProtocolError, httpx.ReadError):
            status = 413  # closed while it was sent
    assert status in {400, 413}


def test_a_huge_picture_in_a_small_file_is_refused(server, tmp_path: Path) -> None:
    Image.MAX_IMAGE_PIXELS, before = None, Image.MAX_IMAGE_PIXELS
    try:
        Image.new("L", (30_000, 30_000)).save(tmp_path / "bomb.png")
    finally:
        Image.MAX_IMAGE_PIXELS = before
    with server.client() as client:
        answer = ask(client, name="bomb.png", data=(tmp_path / "bomb.png").read_bytes())
    assert answer.status_code == 422
    assert "too large" in answer.json()["error"]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "multipart/form-data; boundary=x"),
        (b"--x\r\n\r\nno headers", "multipart/form-data; boundary=x"),
        (b"abc", "multipart/form-data"),
        (b"{}", "application/json"),
        (b'--x\r\nContent-Disposition: form-data; name="picture"\r\n\r\ntext\r\n--x--\r\n',
         "multipart/form-data; boundary=x"),
    ],
)  # fmt: skip
def test_other_forms_are_told_so(server, content: bytes, kind: str) -> None:
    with server.client() as client:
        answer = client.post("/classify", content=content, headers={"Content-Type": kind})
    assert answer.status_code == 400
    assert answer.json()["error"].endswith(".")


def test_two_files_in_one_form_are_refused(server) -> None:
    files = [("picture", (f"{n}.png", png(COLOURS["red"]))) for n in range(2)]
    with server.client() as client:
        assert client.post("/classify", files=files).status_code == 400


def test_tables_hold_what_was_sent_and_no_formulas(server) -> None:
    answer = {
        "image": "=1+1.png", "shown": "red", "nearest": "red", "confidence": 0.9, "unknown": None,
        "is_unknown": False, "group": "@x", "chances": {"red": 0.9, "violet": 0.1, "evil": 1.0},
    }  # fmt: skip
    with server.client() as client:
        wanted = {"model": "model-5", "kind": "csv", "answers": [answer, answer]}
        text = client.post("/table", json=wanted).content.decode("utf-8-sig")
        lines = text.splitlines()
        assert lines[0].startswith("image,label,class,confidence,unknown,group,p_red,p_violet")
        assert "evil" not in text
        assert lines[1].startswith("'=1+1.png,1,red,0.9,,'@x,")
        assert lines[2].startswith("'=1+1.png (2),1,red")
        for broken in (
            {**wanted, "kind": "exe"},
            {**wanted, "answers": []},
            {**wanted, "answers": [{**answer, "confidence": 7}]},
            {**wanted, "more": 1},
            {**wanted, "answers": [answer] * 501},
            {**wanted, "model": "../x"},
        ):
            assert client.post("/table", json=broken).status_code == 400
        many = json.dumps({**wanted, "x": "y" * 5 * 2**20})
        assert client.post("/table", content=many).status_code == 413


def test_a_picture_that_is_slow_to_arrive_does_not_hold_the_others() -> None:
    limits = Limits(picture_bytes=2**20, reading=1, seconds=1)
    with running([make_model("first")], limits) as server, server.client() as client:
        stated = (
            f"POST /classify HTTP/1.1\r\nHost: 127.0.0.1:{server.access.port}\r\n"
            f"X-HemaCells-Token: {server.access.page_token}\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 1000\r\n\r\n--x"
        )
        with socket.create_connection(("127.0.0.1", server.access.port), timeout=30) as link:
            link.sendall(stated.encode())
            assert ask(client, data=png(COLOURS["red"])).json()["class"] == "red"
            assert b" 408 " in link.recv(4096)


def test_more_than_may_wait_are_told_to_come_again() -> None:
    limits = Limits(picture_bytes=2**20, waiting=0)
    with running([make_model("first")], limits) as server, server.client() as client:
        answer = ask(client, data=png(COLOURS["red"]))
    assert answer.status_code == 503
    assert "later" in answer.json()["error"]


def test_what_goes_wrong_unexpectedly_is_a_sentence(monkeypatch) -> None:
    def fail(*_):
        raise RuntimeError("secret detail")

    model = make_model("first")
    monkeypatch.setattr(type(model), "classify", fail)
    with running([model], Limits()) as server, server.client() as client:
        answer = ask(client, data=png(COLOURS["red"]))
        assert answer.status_code == 500
        assert "secret" not in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        with server.client() as next_one:  # the connection that failed was closed
            assert next_one.get("/").status_code == 200


def test_on_a_network_the_key_opens_it_and_nothing_else() -> None:
    with running([make_model("first")], Limits(), host=EVERYWHERE) as server:
        key, port = server.access.key, server.access.port
        assert len(key) >= 32
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=server.token) as client:
            for path in ("/", "/?key=", "/?key=guess", "/static/page.js"):
                assert client.get(path).status_code == 401
            assert ask(client, data=png(COLOURS["red"])).status_code == 401
            opened = client.get(f"/?key={key}")
            assert opened.status_code == 303
            assert opened.headers["location"] == "/"
            cookie = opened.headers["set-cookie"].casefold()
            assert "httponly" in cookie
            assert "samesite=strict" in cookie
            assert client.get("/").status_code == 200  # by the cookie
            assert ask(client, data=png(COLOURS["red"])).json()["class"] == "red"
            assert client.get("/", headers={"Host": f"evil.test:{port}"}).status_code == 403
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as other:
            bearer = {"Authorization": f"Bearer {key}"}
            assert other.get("/", headers=bearer).status_code == 200


def test_only_this_computer_unless_that_is_wanted() -> None:
    check_host("127.0.0.1", allow_network=False)
    check_host("::1", allow_network=False)
    check_host(EVERYWHERE, allow_network=True)
    for host in (EVERYWHERE, "::", "192.168.0.2", "lab.example", ""):
        with pytest.raises(ServeError, match="--allow-network"):
            check_host(host, allow_network=False)


def test_a_port_that_is_taken_is_said() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServeError, match=f"port {port}"):
            listen("127.0.0.1", port)
    assert page_address(Access("::1", 5)) == "http://[::1]:5/"


def test_names_of_uploads_are_names_of_files() -> None:
    given = [
        "../../etc/passwd",
        "C:\\cells\\a.png",
        "",
        ".",
        "a" * 300 + ".tif",
        "con.png",
        "a\0b",
    ]
    names = [safe_name(name) for name in given]
    assert all("/" not in name and "\\" not in name and "\0" not in name for name in names)
    assert names[:4] == ["passwd", "a.png", "picture", "picture"]
    assert names[4].endswith(".tif")
    assert len(names[4]) < 100


def test_a_thermogram_keeps_its_patient(server, tmp_path: Path) -> None:
    """Degrees are read as degrees; a model of colours says that it is the wrong one."""
    rows = np.random.default_rng(0).uniform(25, 36, (48, 64))
    text = "\n".join(" ".join(f"{value:.2f}" for value in row) for row in rows)
    with server.client() as client:
        answer = ask(client, name="frame.txt", data=text.encode())
    assert answer.status_code == 422
    assert "thermograms" in answer.json()["error"]
