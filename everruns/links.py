"""The `Link` header (RFC 8288): where the first, previous, next and last page are."""

from everruns.schemas import SessionsQuery
from everruns.values import after


def link(query: SessionsQuery, total: int, newest: str | None) -> str:
    """The header for the page that `query` asked for; `total` sessions match, the newest created at `newest`.

    The references are of the query alone, so that they hold behind any proxy. All but `first` carry a
    `created_before` right after the newest session: what is created from then on does not shift the walk.
    """
    size, offset = query.limit, query.offset
    pinned = query if query.created_before or newest is None else query._replace(created_before=_after(newest))
    begin = offset % size  # a walk that began in the middle of a page goes on and ends so
    last = begin + (total - begin - 1) // size * size if total > begin else 0
    links = {"first": query._replace(offset=0)}
    if offset > 0:
        links["prev"] = pinned._replace(offset=max(0, min(offset - size, last)))
    if offset + size < total:
        links["next"] = pinned._replace(offset=offset + size)
    links["last"] = pinned._replace(offset=last)
    return ", ".join(f'<?{_reference(page)}>; rel="{relation}"' for relation, page in links.items())


def _after(newest: str) -> str | None:
    try:
        return after(newest)
    except OverflowError:
        return None  # nothing can be newer


def _reference(page: SessionsQuery) -> str:
    # Ids, instants and numbers need no percent-encoding.
    return "&".join(f"{name}={value}" for name, value in zip(page._fields, page, strict=True) if value is not None)
