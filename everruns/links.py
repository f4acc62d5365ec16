"""The `Link` header (RFC 8288): where the first, previous, next and last page are."""

from everruns.schemas import SessionsQuery
from everruns.values import after


def link(query: SessionsQuery, total: int, newest: str | None) -> str:
    """The header for the page that `query` asked for; `total` sessions match, the newest created at `newest`.

    The references are of the query alone, so that they hold behind any proxy. All but `first` carry a
    `created_before` right after the newest session: what is created from then on does not shift the walk.
    """
    kept = f"agent_id={query.agent_id}&" if query.agent_id else ""
    if query.created_after:
        kept += f"created_after={query.created_after}&"
    first = f"{kept}created_before={query.created_before}&" if query.created_before else kept
    pinned = f"{kept}{_created_before(newest)}" if newest else first
    size, offset = query.limit, query.offset
    begin = offset % size  # a walk that began in the middle of a page goes on and ends so
    last = begin + (total - begin - 1) // size * size if total > begin else 0
    links = [f'<?{first}offset=0&limit={size}>; rel="first"']
    if offset > 0:
        links.append(f'<?{pinned}offset={max(0, min(offset - size, last))}&limit={size}>; rel="prev"')
    if offset + size < total:
        links.append(f'<?{pinned}offset={offset + size}&limit={size}>; rel="next"')
    links.append(f'<?{pinned}offset={last}&limit={size}>; rel="last"')
    return ", ".join(links)


def _created_before(newest: str) -> str:
    try:
        return f"created_before={after(newest)}&"
    except OverflowError:
        return ""  # nothing can be newer
