"""Who may ask the page for what: each way in that is shut is tried."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from drawn import Library
from fastapi.testclient import TestClient

from facewatch.cli.web import server_of
from facewatch.errors import WebError
from facewatch.web.peers import is_own, owner_of
from facewatch.web.security import (
    ATTEMPT_SECONDS,
    IS_OWN,
    MOST_ATTEMPTS,
    AccessRules,
    Guard,
    digest_of,
    is_foreign,
    is_loopback,
)
from facewatch.web.server import Server, make_site

TOKEN = "a-token-that-nobody-guesses"
LOCKED = AccessRules(token=digest_of(TOKEN))
COOKIE = f"facewatch-{digest_of(TOKEN)[:8]}"
NAME = "/api/v1/people/3/name"


@contextmanager
def asking(library: Library, rules: AccessRules | None = None) -> Iterator[TestClient]:
    with TestClient(
        make_site(library.app, rules=rules), base_url="http://127.0.0.1:7878", follow_redirects=False
    ) as client:
        yield client


def is_named(library: Library) -> bool:
    with library.app() as app:
        return "Zoe" in app.catalog.people.names().values()


# --- other sites ---


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7878", "127.0.0.1.evil.example", "", "192.168.1.5", "[::"]
)
def test_a_name_that_leads_here_without_being_ours_is_refused(family: Library, host: str) -> None:
    with asking(family) as client:
        assert client.get("/", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1:7878", "localhost", "LocalHost:1", "[::1]:7878"])
def test_this_machine_is_reached_by_its_own_names(family: Library, host: str) -> None:
    with asking(family) as client:
        assert client.get("/", headers={"Host": host}).status_code == 200


def test_a_proxy_hands_on_the_names_that_are_set() -> None:
    rules = AccessRules.of("127.0.0.1", ["Photos.home"], None)
    assert rules.allows_host("photos.home")
    assert not rules.allows_host("other.home")
    assert not rules.allows_host("10.0.0.1")
    assert AccessRules.of("0.0.0.0", [], "x").allows_host("10.0.0.1:7878")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_site_decides_nothing(family: Library, headers: dict[str, str]) -> None:
    with asking(family) as client:
        assert client.post(NAME, json={"name": "Zoe"}, headers=headers).status_code == 403
    assert not is_named(family)


def test_the_page_itself_and_a_program_decide(family: Library) -> None:
    own = {"Origin": "http://127.0.0.1:7878", "Sec-Fetch-Site": "same-origin"}
    with asking(family) as client:
        assert client.post(NAME, json={"name": "Zoe"}, headers=own).status_code == 200
        assert client.post(NAME, json={"name": "Zoe"}).status_code == 200


def test_a_form_of_another_site_is_no_json(family: Library) -> None:
    with asking(family) as client:
        sent = client.post(NAME, content='{"name": "Zoe"}', headers={"Content-Type": "text/plain"})
        assert sent.status_code == 422
    assert not is_named(family)


def test_another_site_reads_nothing_but_may_link_here() -> None:
    assert is_foreign({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, is_safe=True)
    assert is_foreign({"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}, is_safe=True)
    assert not is_foreign({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, is_safe=True)
    assert not is_foreign({}, is_safe=True)


@pytest.mark.parametrize(
    "path", ["/", "/api/v1/people", "/static/page.js", "/nowhere", "/api/v1/nowhere", "/media/face/1"]
)
def test_every_answer_binds_the_browser(family: Library, path: str) -> None:
    with asking(family) as client:
        headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers
    assert headers["cache-control"] in ("private, no-cache", "no-store"), "or it may stay after an update"


def test_no_page_holds_a_script_or_a_style_of_its_own(family: Library) -> None:
    with asking(family) as client:
        for path in (
            "/",
            "/person/1",
            "/photo/1",
            "/photos",
            "/search",
            "/pool",
            "/stats",
            "/status",
            "/history",
            "/review",
        ):
            page = client.get(path).text
            assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|\son\w+=|javascript:", page), path
            assert not re.search(r'(?:src|href|action)="(?:https?:)?//', page), path


# --- the token ---


def test_beyond_this_machine_a_token_is_wanted(family: Library) -> None:
    with family.app() as app:
        config = app.config
    with pytest.raises(WebError, match="new-token"):
        server_of(config, host="0.0.0.0", port=0)


def test_a_proxy_that_lets_others_in_wants_a_token_too(family: Library, run: Any) -> None:
    with family.app({"web.hosts": ["photos.home"]}) as app:
        config = app.config
    with pytest.raises(WebError, match="new-token"):
        server_of(config, port=0)
    run("web", "--new-token")
    server_of(config, port=0)._socket.close()


def test_the_token_is_printed_once_and_kept_as_a_digest(family: Library, run: Any) -> None:
    token = run("web", "--new-token").out.splitlines()[0]
    assert len(token) > 40
    with family.app() as app:
        assert app.catalog.settings.get("web_token") == digest_of(token)
    assert token.encode() not in family.catalog.read_bytes()
    assert run("web", "--no-token").code == 0
    with family.app() as app:
        assert app.catalog.settings.get("web_token") is None


@pytest.mark.parametrize(
    "path", ["/", "/person/1", "/media/face/1", "/api/v1/people", "/events", "/api/v1/openapi.json"]
)
def test_without_the_token_nothing_is_seen(family: Library, path: str) -> None:
    with asking(family, LOCKED) as client:
        answer = client.get(path)
    assert answer.status_code in (303, 401)
    assert "Anna" not in answer.text


def test_without_the_token_nothing_is_decided(family: Library) -> None:
    with asking(family, LOCKED) as client:
        assert client.post(NAME, json={"name": "Zoe"}).status_code == 401
        assert client.post(NAME, json={"name": "Zoe"}, headers={"Authorization": "Bearer wrong"}).status_code == 401
        for cookie in (f"{COOKIE}=wrong", "facewatch-12345678=of an earlier token"):
            assert client.post(NAME, json={"name": "Zoe"}, headers={"Cookie": cookie}).status_code == 401
    assert not is_named(family)


def test_the_token_opens_the_page_and_is_kept_from_scripts_and_other_sites(family: Library) -> None:
    with asking(family, LOCKED) as client:
        to_login = client.get("/photos?q=with+Anna").headers["location"]
        assert to_login.startswith("/login?next=/photos")
        entered = client.post(to_login, data={"token": TOKEN})
        assert (entered.status_code, entered.headers["location"]) == (303, "/photos?q=with+Anna")
        cookie = entered.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert client.get("/person/1").status_code == 200
        assert client.get("/login?next=/person/1").headers["location"] == "/person/1", "it is said already"
    with asking(family, LOCKED) as client:
        assert client.get("/api/v1/people", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_behind_https_the_cookie_is_for_https_only(family: Library) -> None:
    with asking(family, LOCKED) as client:
        entered = client.post("/login", data={"token": TOKEN}, headers={"X-Forwarded-Proto": "https"})
        assert "secure" in entered.headers["set-cookie"].lower()


@pytest.mark.parametrize("to", ["//evil.example", "https://evil.example", "/\\evil.example"])
def test_the_token_leads_to_no_other_site(family: Library, to: str) -> None:
    with asking(family, LOCKED) as client:
        entered = client.post("/login", params={"next": to}, data={"token": TOKEN})
        assert entered.headers["location"] == "/"


def test_tokens_are_not_tried_out(family: Library) -> None:
    now = [0.0]
    site = Guard(make_site(family.app), LOCKED, clock=lambda: now[0])
    with TestClient(site, base_url="http://127.0.0.1", follow_redirects=False) as client:
        for _ in range(MOST_ATTEMPTS):
            assert client.post("/login", data={"token": "wrong"}).status_code == 401
        assert client.post("/login", data={"token": TOKEN}).status_code == 429
        now[0] = ATTEMPT_SECONDS + 1
        assert client.post("/login", data={"token": TOKEN}).status_code == 303


@pytest.mark.parametrize("way", ["cookie", "bearer"])
def test_tokens_are_not_tried_out_without_the_form_either(family: Library, way: str) -> None:
    wrong = {"Cookie": f"{COOKIE}=wrong"} if way == "cookie" else {"Authorization": "Bearer wrong"}
    right = {"Cookie": f"{COOKIE}={TOKEN}"} if way == "cookie" else {"Authorization": f"Bearer {TOKEN}"}
    with asking(family, LOCKED) as client:
        answers = [client.get("/api/v1/people", headers=wrong).status_code for _ in range(MOST_ATTEMPTS + 1)]
        assert answers == [401] * MOST_ATTEMPTS + [429]
        assert client.get("/api/v1/people", headers=right).status_code == 200, "who knows it is not shut out"


def test_the_cookie_of_an_earlier_token_is_no_attempt(family: Library) -> None:
    with asking(family, LOCKED) as client:
        for _ in range(3 * MOST_ATTEMPTS):
            assert client.get("/", headers={"Cookie": "facewatch-12345678=of an earlier token"}).status_code == 303
        assert client.post("/login", data={"token": TOKEN}).status_code == 303


# --- other users of this machine ---


def test_a_program_of_another_user_is_refused_unless_there_is_a_token(family: Library) -> None:
    for rules, status in ((AccessRules(), 403), (LOCKED, 303)):
        site = make_site(family.app, rules=rules)

        async def as_a_stranger(scope: Any, receive: Any, send: Any, site: Any = site) -> None:
            if scope["type"] == "http":
                scope["state"][IS_OWN] = False
            await site(scope, receive, send)

        with TestClient(as_a_stranger, base_url="http://127.0.0.1", follow_redirects=False) as client:
            assert client.get("/").status_code == status
            assert client.post(NAME, json={"name": "Zoe"}).status_code in (401, 403)
    assert not is_named(family)


TABLE = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
HERE, THERE = ("127.0.0.1", 0x1EC6), ("127.0.0.1", 0xA000)
BY_TABLES: Any = {"ask": lambda client, server: None, "user": 1000}


def tables(folder: Path, owner: int, *, inode: int = 77, is_wide: bool = False) -> Path:
    """Store tables of the kernel in which one program has connected to us."""
    ip = f"{int.from_bytes(bytes([127, 0, 0, 1]), sys.byteorder):08X}"
    if is_wide:
        ip = f"{0:016X}{int.from_bytes(bytes([0, 0, 255, 255]), sys.byteorder):08X}{ip}"
    ends = [f"{ip}:A000 {ip}:1EC6 01", f"{ip}:1EC6 {ip}:A000 01"]
    lines = [
        f"   {i}: {end} 00000000:00000000 00:00000000 00000000 {uid:5} 0 {number} 1 0000 20 4 30 10 -1\n"
        for i, (end, uid, number) in enumerate(zip(ends, (owner, 1000), (inode, 78), strict=True))
    ]
    (folder / "tcp").write_text(TABLE + "".join([] if is_wide else lines))
    (folder / "tcp6").write_text(TABLE + "".join(lines if is_wide else []))
    return folder


@pytest.mark.parametrize("is_wide", [False, True])
@pytest.mark.parametrize(("owner", "is_ours"), [(1000, True), (0, True), (1001, False), (65534, False)])
def test_the_kernel_says_whose_a_connection_is(tmp_path: Path, is_wide: bool, owner: int, is_ours: bool) -> None:
    assert is_own(THERE, HERE, tables=tables(tmp_path, owner, is_wide=is_wide), **BY_TABLES) == is_ours


def test_who_has_hung_up_or_is_on_another_connection_is_a_stranger(tmp_path: Path) -> None:
    assert not is_own(THERE, HERE, tables=tables(tmp_path, 0, inode=0), **BY_TABLES)
    assert not is_own((THERE[0], THERE[1] + 1), HERE, tables=tables(tmp_path, 1000), **BY_TABLES)


def test_where_the_system_does_not_say_nobody_is_a_stranger(tmp_path: Path) -> None:
    assert is_own(THERE, HERE, tables=tmp_path / "nowhere", **BY_TABLES)
    assert is_own(None, None, user=1000)
    (tables(tmp_path, 1000) / "tcp6").unlink()
    assert is_own(THERE, HERE, tables=tmp_path, **BY_TABLES), "IPv6 is switched off"


@pytest.mark.parametrize(("owner", "is_ours"), [(1000, True), (0, True), (1001, False)])
def test_no_table_is_read_where_the_kernel_says_whose_a_connection_is(
    tmp_path: Path, owner: int, is_ours: bool
) -> None:
    others = tables(tmp_path, 1000 if not is_ours else 1001)
    assert is_own(THERE, HERE, ask=lambda client, server: owner, tables=others, user=1000) == is_ours


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel says it on Linux only")
@pytest.mark.parametrize(
    ("family", "there", "here"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
        (socket.AF_INET6, "::ffff:127.0.0.1", "127.0.0.1"),
        (socket.AF_INET6, "::1", "::1"),
    ],
)
def test_the_kernel_is_asked_for_one_connection(family: socket.AddressFamily, there: str, here: str) -> None:
    listening_family = socket.AF_INET6 if ":" in here else socket.AF_INET
    with socket.create_server((here, 0), family=listening_family) as listening, socket.socket(family) as asking:
        server = listening.getsockname()[:2]
        asking.connect((there, server[1]))
        answering, client = listening.accept()
        with answering:
            if owner_of(client[:2], server) is None:
                pytest.skip("sock_diag is not allowed here")
            assert owner_of(client[:2], server) == os.geteuid()
            asking.close()
            assert owner_of(client[:2], server) is None, "who has hung up is nobody's"
        assert owner_of(server, client[:2]) is None, "who listens there has not made the connection"


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel says it on Linux only")
def test_whose_a_real_connection_is(family: Library) -> None:
    to_read, to_write = os.pipe()
    stranger = os.fork() if os.geteuid() == 0 else None  # only root can be somebody else
    if stranger == 0:
        os.setuid(65534)
        os._exit(status_for(int.from_bytes(os.read(to_read, 2))) != 403)
    server = Server(make_site(family.app), host="127.0.0.1", port=0)
    server.start()
    try:
        port: int = server._socket.getsockname()[1]
        os.write(to_write, port.to_bytes(2))
        if stranger is not None:
            assert os.waitstatus_to_exitcode(os.waitpid(stranger, 0)[1]) == 0
        assert status_for(port) == 200
    finally:
        server.stop()
        os.close(to_read)
        os.close(to_write)


def status_for(port: int) -> int:
    """Ask for everybody, by nothing but a socket: after a fork little else is safe."""
    with socket.create_connection(("127.0.0.1", port)) as asking:
        asking.sendall(b"GET /api/v1/people HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return int(asking.recv(100).split()[1])


def test_loopback_is_what_only_this_machine_reaches() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "::1", "localhost", "127.1.2.3")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.2", "myhost")))


# --- what can be sent ---


def test_more_than_a_decision_needs_is_not_read(family: Library) -> None:
    with asking(family) as client:
        assert client.post(NAME, content=b"x" * 1_000_001).status_code == 413
        for path in (NAME, "/api/v1/search", "/search"):
            sent = client.post(path, content=iter([b"x" * 900_000] * 80))
            assert sent.status_code == 413, path
            assert "MB can be sent here" in sent.text
    with asking(family, LOCKED) as client:
        assert client.post("/login", content=iter([b"x" * 600_000] * 2)).status_code == 413
    assert not is_named(family)


def test_a_photo_with_too_many_pixels_is_refused_before_it_is_decoded(shared: Path, family: Library) -> None:
    bomb = (shared / "photos" / "odd" / "derived" / "huge_20000x20000.png").read_bytes()
    with asking(family) as client:
        answer = client.post("/api/v1/search", content=bomb)
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("this photo cannot be used: too many pixels")


def test_what_is_no_photo_is_refused_with_a_sentence(family: Library) -> None:
    with asking(family) as client:
        answer = client.post("/api/v1/search", content=b"<html>no photo</html>")
        assert answer.status_code == 422
        assert answer.json()["error"] == "this is not a photo", "and no path"
        assert client.post("/api/v1/search", content=b"").status_code == 422


# --- what can be asked for ---


def test_addresses_hold_ids_and_nothing_removes_or_moves_a_file(family: Library) -> None:
    with asking(family) as client:
        paths = client.get("/api/v1/openapi.json").json()["paths"]
    for path, methods in paths.items():
        assert methods.keys() <= {"get", "post"}, path
        for operation in methods.values():
            for one in operation.get("parameters", ()):
                if one["in"] == "path" and one["name"] != "question":
                    assert one["schema"]["type"] == "integer", path
        assert not re.search(r"delete|file|move|copy|download", path)


@pytest.mark.parametrize(
    "path", ["/static/../server.py", "/static/%2e%2e/server.py", "/static/..%2fserver.py", "/media/face/..%2f1"]
)
def test_no_address_leads_out_of_the_files_of_the_page(family: Library, path: str) -> None:
    with asking(family) as client:
        assert client.get(path).status_code in (404, 422)


def test_a_failure_nobody_foresaw_says_nothing_of_the_inside(family: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    site = make_site(family.app)

    @site.get("/fails")
    def fails() -> None:
        raise RuntimeError(f"secret in {family.catalog}")

    with TestClient(site, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        answer = client.get("/fails")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert str(family.catalog) not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
