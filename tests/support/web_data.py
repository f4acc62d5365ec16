"""Organizations of the tests of the web page."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from tests.support.service import Organization, Service

MAIN_AGENT = "agent_019c60b1e40c7000b1f7c2a86de0394f"
RARE_AGENT = "agent_019c60b1e40c7000b1f7c2a86de0ffff"  # one session a day
SESSIONS_PER_DAY = 25
DAYS = 40  # up to yesterday

SCRIPT = "<img src=x onerror='window.executed=1'><script>window.executed=1</script>"
LONG_TITLE = "x" * 10_000
UNUSUAL_TITLES = [SCRIPT, "תל אביב \u202e evil", LONG_TITLE, "word " * 2000, None, "  ", "many tags"]


def today() -> date:
    """Return the current UTC day."""
    return datetime.now(UTC).date()


def last_tuesday() -> date:
    """Return the latest Tuesday before today."""
    return today() - timedelta(days=(today().weekday() - 1) % 7 or 7)


def agent(public_id: str = MAIN_AGENT, **fields: object) -> dict[str, object]:
    """Record of an agent."""
    return {"id": public_id, "name": "helper", **fields}


def session(suffix: int | str, **fields: object) -> dict[str, object]:
    """Record of a session with the id `session_SUFFIX`."""
    return {"id": f"session_{suffix}", "agent_id": MAIN_AGENT, "created_at": "2026-02-27T13:13:53Z", **fields}


@dataclass(frozen=True)
class Organizations:
    """Large: 1,000 ordinary sessions in 40 days. Unusual: titles, tags and numbers that break naive pages. Empty."""

    large: Organization
    unusual: Organization
    empty: Organization


def create_organizations(service: Service) -> Organizations:
    """Create the three organizations."""
    return Organizations(
        large=service.create_organization(*large_records()),
        unusual=service.create_organization(*unusual_records()),
        empty=service.create_organization(),
    )


def large_records() -> list[dict[str, object]]:
    """Each day has an active, a started and a refunded session. The oldest of last Tuesday has a title of its own.

    `session_0000` is the newest.
    """
    sessions = []
    for number in range(SESSIONS_PER_DAY * DAYS):
        days_ago, index = divmod(number, SESSIONS_PER_DAY)
        created_at = datetime.now(UTC).replace(hour=23, minute=50, second=0, microsecond=0)
        created_at -= timedelta(days=days_ago + 1, hours=0.9 * index)
        is_last_of_tuesday = created_at.date() == last_tuesday() and index == SESSIONS_PER_DAY - 1
        sessions.append(
            session(
                f"{number:04}",
                agent_id=RARE_AGENT if index == 7 else MAIN_AGENT,
                title="Last Tuesday" if is_last_of_tuesday else f"Session {number}",
                tags=["billing", "urgent", *(["refund"] if index == 5 else [])],
                model_id="model_1" if index == 7 else None,
                status={3: "active", 4: "started"}.get(index, "idle"),
                created_at=created_at.isoformat(),
            )
        )
    agents = [agent(capabilities=[{"ref": "skills"}]), agent(RARE_AGENT, name="night-shift")]
    return [*agents, *reversed(sessions)]


def unusual_records() -> list[dict[str, object]]:
    """Sessions with the unusual titles and 100 tags each, and one with a number that JavaScript cannot represent."""
    tags = [*(f"tag {number}" for number in range(98)), SCRIPT, "y" * 500]
    sessions = [session(f"unusual{index}", title=title, tags=tags) for index, title in enumerate(UNUSUAL_TITLES)]
    config = {"number": 12345678901234567890, "text": '"}],{'}
    sessions.append(session("big", title="big number", capabilities=[{"ref": "mcp:1", "config": config}]))
    return [agent(), *sessions]
