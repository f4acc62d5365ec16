"""Pages of results, and the `Link` header (RFC 8288): the first, previous, next and last page."""

from urllib.parse import urlencode

from everruns.records import ListQuery, Page, SessionsQuery
from everruns.timestamps import next_microsecond


def page_json(page: Page, query: SessionsQuery | ListQuery) -> str:
    """Return the body of the response to a list."""
    return f'{{"data":[{page.data}],"total":{page.total},"offset":{query.offset},"limit":{query.limit}}}'


def link(query: SessionsQuery, total: int, newest: str | None) -> str:
    """Return the header for the page of `query`: `total` sessions match, the newest created at `newest`.

    References consist of a query only, so that they hold behind any proxy. All but `first` carry a `created_before`
    right after the newest session, so that sessions created later do not shift the pages.
    """
    arguments = {
        "agent_id": query.agent_id,
        "status": query.status,
        "tag": query.tags,
        "search": query.search,
        "created_after": query.created_after,
    }
    given = {name: value for name, value in arguments.items() if value}
    filters = urlencode(given, doseq=True, safe=":/?@!$'()*") + "&" if given else ""
    first = filters + _before(query.created_before)
    pinned = filters + _before((newest and _right_after(newest)) or query.created_before)
    limit, offset = query.limit, query.offset
    start = offset % limit  # pages that do not start at a multiple of limit keep their alignment
    last = start + (total - start - 1) // limit * limit if total > start else 0
    links = [f'<?{first}offset=0&limit={limit}>; rel="first"']
    if offset > 0:
        links.append(f'<?{pinned}offset={max(0, min(offset - limit, last))}&limit={limit}>; rel="prev"')
    if offset + limit < total:
        links.append(f'<?{pinned}offset={offset + limit}&limit={limit}>; rel="next"')
    links.append(f'<?{pinned}offset={last}&limit={limit}>; rel="last"')
    return ", ".join(links)


def _before(timestamp: str | None) -> str:
    return f"created_before={timestamp}&" if timestamp else ""


def _right_after(newest: str) -> str | None:
    try:
        return next_microsecond(newest)
    except (OverflowError, ValueError):
        return None  # the end of year 9999, or a date that was stored by SQL and does not exist
