"""Files of the web page: headers, caching, size, and no inline code."""

import base64
import gzip
import hashlib
import re
import urllib.error
import urllib.request

import pytest

from tests.support.service import ROOT, Service

FOLDER = ROOT / "everruns" / "web"
FILES = sorted(path.name for path in FOLDER.iterdir())
MEDIA_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "(text|application)/javascript",
    ".svg": "image/svg[+]xml",
}


def inline_script_hash() -> str:
    """Return the hash of the one script in the page."""
    (script,) = re.findall("<script>(.*?)</script>", (FOLDER / "index.html").read_text("utf-8"))
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def request(service: Service, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body."""
    try:
        response = urllib.request.urlopen(
            urllib.request.Request(service.address + path, headers=headers, method=method)
        )
    except urllib.error.HTTPError as error:
        response = error
    with response:
        return response.status, dict(response.headers), response.read()


@pytest.mark.parametrize("path", ["/", *(f"/web/{name}" for name in FILES if name != "index.html")])
def test_each_file_has_a_strict_policy_and_an_etag(service: Service, path: str) -> None:
    status, headers, body = request(service, path)
    assert (status, body) == (200, (FOLDER / (path.removeprefix("/web/").strip("/") or "index.html")).read_bytes())
    suffix = "." + path.rpartition(".")[2] if "." in path else ".html"
    assert re.fullmatch(f"{MEDIA_TYPES[suffix]}; charset=utf-8", headers["Content-Type"])
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": f"'self' 'sha256-{inline_script_hash()}'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-cache"
    assert "Set-Cookie" not in headers
    assert request(service, path, **{"If-None-Match": headers["ETag"]})[::2] == (304, b"")
    status, head, body = request(service, path, "HEAD")
    assert (status, head["ETag"], body) == (200, headers["ETag"], b"")


@pytest.mark.parametrize("path", ["/", "/web/main.js"])
def test_other_methods_get_405_with_allow(service: Service, path: str) -> None:
    status, headers, body = request(service, path, "POST")
    assert (status, b'"method_not_allowed"' in body) == (405, True)
    assert {"GET", "HEAD"} <= set(headers["Allow"].split(", "))


@pytest.mark.parametrize("name", ["", "x.js", "..%2fcli.py", "%2e%2e/cli.py", "a/main.js", "MAIN.JS"])
def test_unknown_files_get_404_in_the_envelope(service: Service, name: str) -> None:
    status, _, body = request(service, f"/web/{name}")
    assert (status, b'"not_found"' in body) == (404, True)


def test_files_are_small_and_contain_no_inline_code_and_no_foreign_urls() -> None:
    texts = {name: (FOLDER / name).read_text("utf-8") for name in FILES}
    assert sum(len(gzip.compress(text.encode())) for text in texts.values()) < 60_000
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?!>if|[^>]* src=)", texts["index.html"])
    for name, text in texts.items():
        assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text) == []
        if name.endswith(".js"):
            assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|cookie\b", text)
            assert name == "time-zone.js" or "localStorage" not in text
