"""Pages of results, and the `Link` header (RFC 8288): the first, previous, next and last page."""

from everruns.api.cache import Content
from everruns.records import ListQuery, Page, SessionsQuery
from everruns.timestamps import next_microsecond


def page_content(page: Page, query: SessionsQuery | ListQuery) -> Content:
    """Return the response to a list, without `Link`."""
    rows = ",".join(page.rows)
    body = f'{{"data":[{rows}],"total":{page.total},"offset":{query.offset},"limit":{query.limit}}}\n'
    return Content(body.encode(), {})


def link(query: SessionsQuery, total: int, newest: str | None) -> str:
    """Return the header for the page of `query`: `total` sessions match, the newest created at `newest`.

    References consist of a query only, so that they hold behind any proxy. All but `first` carry a `created_before`
    right after the newest session, so that sessions created later do not shift the pages.
    """
    filters = f"agent_id={query.agent_id}&" if query.agent_id else ""
    if query.created_after:
        filters += f"created_after={query.created_after}&"
    first = f"{filters}created_before={query.created_before}&" if query.created_before else filters
    pinned = f"{filters}{_created_before(newest)}" if newest else first
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


def _created_before(newest: str) -> str:
    try:
        return f"created_before={next_microsecond(newest)}&"
    except (OverflowError, ValueError):
        return ""  # the end of year 9999, or a date that was stored by SQL and does not exist
