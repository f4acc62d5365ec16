"""Copying an organization from another server by its API."""

import json
import re
from collections.abc import Iterator
from io import BytesIO
from typing import IO, Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import urllib3

from everruns.transfer.parser import Group, parse

HARNESSES = "v1/harnesses?limit=100&include_archived=true"
AGENTS = "v1/agents?limit=100&include_archived=true"
SESSIONS = "v1/sessions?limit=100"
TIMEOUT_SECONDS = 30
# Waits half a minute altogether; Retry-After could ask for hours.
RETRIES = urllib3.Retry(
    total=5, connect=1, backoff_factor=1, status_forcelist=(429, 502, 503, 504), respect_retry_after_header=False
)
_NEXT = re.compile(r'<([^>]*)>; *rel="next"')


class PullFailed(Exception):
    """The server cannot be reached or sent something else; the message is one line for the user."""


class _Page(NamedTuple):
    path: str  # of the first page
    url: str
    start: int
    size: int


class Pull:
    """The records of the organization of `key` on the server at `url`, downloaded to a temporary `file`.

        pull = Pull("https://api.example.com", key, file)
        for records in pull.download():
            ...
        Import(connection, organization).run(pull.groups())

    All is downloaded before the import takes the lock for writing.
    """

    def __init__(self, url: str, key: str, file: IO[bytes]) -> None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise PullFailed(f"the address must start with http:// or https://; got '{url}'")
        self.url = url.rstrip("/").removesuffix("/v1") + "/"
        self.headers = {"Authorization": f"Bearer {key}", "Accept": "application/json"}
        self.http = urllib3.PoolManager(timeout=TIMEOUT_SECONDS, retries=RETRIES)
        self.file = file
        self.pages: list[_Page] = []

    def download(self) -> Iterator[int]:
        """Download all pages, newest first; yield the number of records on each."""
        for path in (HARNESSES, AGENTS, SESSIONS):
            url: str | None = self.url + path
            downloaded = 0
            while url is not None:
                response = self._get(url)
                if response.status == 404 and path == HARNESSES:  # as older servers respond
                    break
                page = self._parse(url, response)
                self.pages.append(_Page(path, url, self.file.tell(), self.file.write(response.data)))
                yield len(page["data"])
                downloaded += len(page["data"])
                url = self._next(url, page, downloaded, response.headers.get("Link"))

    def groups(self) -> Iterator[Group]:
        """Yield the records page by page: harnesses and agents, then sessions, the oldest page first."""
        others = [page for page in self.pages if page.path != SESSIONS]
        sessions = [page for page in self.pages if page.path == SESSIONS]
        for page in (*others, *reversed(sessions)):
            self.file.seek(page.start)
            yield from parse(page.url, BytesIO(self.file.read(page.size)))

    def _get(self, url: str) -> urllib3.BaseHTTPResponse:
        try:
            response = self.http.request("GET", url, headers=self.headers, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", None) or error
            raise PullFailed(f"{url} cannot be reached: {reason}") from None
        if response.status in (401, 403):
            raise PullFailed(f"{url} refused the key in EVERRUNS_PULL_KEY (status {response.status})")
        return response

    def _parse(self, url: str, response: urllib3.BaseHTTPResponse) -> dict[str, Any]:
        if response.status != 200:
            raise PullFailed(f"{url} must respond with status 200; got {response.status}")
        try:
            page = json.loads(response.data)
        except (ValueError, RecursionError):
            page = None
        is_page = isinstance(page, dict) and isinstance(page.get("data"), list)
        if not is_page or type(page.get("total", 0)) is not int:
            raise PullFailed(f'{url} must respond with a page, {{"data": […]}}; is this an Everruns server?')
        return dict(page)

    def _next(self, url: str, page: dict[str, Any], downloaded: int, link: str | None) -> str | None:
        """Return the URL of the next page: of `Link`, which is pinned, or by offset where the server has none."""
        if link is not None:
            found = _NEXT.search(link)
            return urljoin(url, found[1]) if found else None
        if not page["data"] or downloaded >= page.get("total", 0):
            return None
        return re.sub(r"&offset=\d+|$", f"&offset={downloaded}", url, count=1)
