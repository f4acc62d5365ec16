"""The tables as SQLAlchemy models, and what both SQLAlchemy peers do: the page, and storing a session."""

import hashlib
import os
from collections import defaultdict
from datetime import UTC, datetime

from sqlalchemy import JSON, ColumnElement, ForeignKey, column, create_engine, func, select, table, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, joinedload, mapped_column, relationship, sessionmaker

from everruns.ids import BASE_HARNESS, new_id

engine = create_engine(f"sqlite:///{os.environ['EVERRUNS_DATABASE']}", pool_size=10)
SessionLocal = sessionmaker(engine, expire_on_commit=False)

Capabilities = list[dict[str, object]]


class Base(DeclarativeBase):
    """The base of the models."""


class Organization(Base):
    """An organization."""

    __tablename__ = "organizations"
    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str]


class ApiKey(Base):
    """A key of an organization."""

    __tablename__ = "api_keys"
    id: Mapped[int] = mapped_column(primary_key=True)
    organization_id: Mapped[int] = mapped_column(ForeignKey("organizations.id"))
    sha256: Mapped[bytes]
    expires_at: Mapped[str | None]
    revoked_at: Mapped[str | None]


class Harness(Base):
    """A harness."""

    __tablename__ = "harnesses"
    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str]
    capabilities: Mapped[Capabilities] = mapped_column(JSON)


class Agent(Base):
    """An agent."""

    __tablename__ = "agents"
    id: Mapped[int] = mapped_column(primary_key=True)
    organization_id: Mapped[int] = mapped_column(ForeignKey("organizations.id"))
    public_id: Mapped[str]
    canonical_id: Mapped[str]
    capabilities: Mapped[Capabilities] = mapped_column(JSON)


class AgentSession(Base):
    """A session of an agent."""

    __tablename__ = "sessions"
    id: Mapped[int] = mapped_column(primary_key=True)
    organization_id: Mapped[int] = mapped_column(ForeignKey("organizations.id"))
    harness_id: Mapped[int | None] = mapped_column(ForeignKey("harnesses.id"))
    agent_id: Mapped[int | None] = mapped_column(ForeignKey("agents.id"))
    public_id: Mapped[str]
    title: Mapped[str | None]
    tags: Mapped[list[str]] = mapped_column(JSON)
    model_id: Mapped[str | None]
    capabilities: Mapped[Capabilities] = mapped_column(JSON)
    status: Mapped[str]
    created_at: Mapped[str]
    updated_at: Mapped[str]
    harness: Mapped[Harness | None] = relationship()
    agent: Mapped[Agent | None] = relationship()


# The full-text index of titles.
session_titles = table("session_titles", column("rowid"))

# Read once, at start: a changed catalog shows only after a restart.
FEATURES = defaultdict[str, set[str]](set)
with engine.connect() as connection:
    for capability_id, feature in connection.execute(text("SELECT capability_id, feature FROM provided_features")):
        FEATURES[capability_id].add(feature)


def features_of(item: AgentSession) -> list[str]:
    """Return the features of the capabilities of the session, its agent and its harness."""
    owners = (item.harness, item.agent, item)
    refs = [capability["ref"] for owner in owners if owner for capability in owner.capabilities]
    return sorted(set[str]().union(*(FEATURES.get(ref, ()) for ref in refs)))


def find_organization(session: Session, authorization: str | None) -> Organization | None:
    """Return the organization of the key in an `Authorization` header."""
    key = (authorization or "").removeprefix("Bearer ")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return session.scalar(
        select(Organization)
        .join(ApiKey, ApiKey.organization_id == Organization.id)
        .where(
            ApiKey.sha256 == hashlib.sha256(key.encode()).digest(),
            ApiKey.revoked_at.is_(None),
            ApiKey.expires_at.is_(None) | (ApiKey.expires_at > now),
        )
    )


def find_agent(session: Session, organization: Organization, agent_id: str) -> Agent | None:
    """Return the agent of the organization with this public id."""
    canonical_id = agent_id.replace("-", "").lower()
    return session.scalar(
        select(Agent).where(Agent.organization_id == organization.id, Agent.canonical_id == canonical_id)
    )


def find_page(
    session: Session,
    organization: Organization,
    offset: int,
    limit: int,
    agent_id: str | None = None,
    status: str | None = None,
    search: str | None = None,
) -> dict[str, object]:
    """Return the page of sessions, newest first."""
    conditions: list[ColumnElement[bool]] = [AgentSession.organization_id == organization.id]
    if agent_id is not None:
        agent = find_agent(session, organization, agent_id)
        conditions.append(AgentSession.agent_id == (agent.id if agent else 0))
    if status is not None:
        conditions.append(AgentSession.status == status)
    if search is not None:
        phrase = '"' + search.replace('"', '""') + '"'
        matches = select(session_titles.c.rowid).where(text("session_titles MATCH :phrase").bindparams(phrase=phrase))
        conditions.append(AgentSession.id.in_(matches))
    total = session.scalar(select(func.count()).select_from(AgentSession).where(*conditions))
    newest_first = (AgentSession.created_at.desc(), AgentSession.id.desc())
    # The ids first: otherwise the joins are made for every row that OFFSET skips.
    ids = select(AgentSession.id).where(*conditions).order_by(*newest_first).offset(offset).limit(limit)
    found = session.scalars(
        select(AgentSession)
        .where(AgentSession.id.in_(ids))
        .options(joinedload(AgentSession.harness), joinedload(AgentSession.agent))
        .order_by(*newest_first)
    )
    data = [as_dict(item, organization) for item in found]
    return {"data": data, "total": total, "offset": offset, "limit": limit}


def as_dict(item: AgentSession, organization: Organization) -> dict[str, object]:
    """Return the session as it is served."""
    return {
        "id": item.public_id,
        "organization_id": organization.public_id,
        "harness_id": item.harness.public_id if item.harness else BASE_HARNESS,
        "agent_id": item.agent.public_id if item.agent else None,
        "title": item.title,
        "tags": item.tags,
        "model_id": item.model_id,
        "capabilities": item.capabilities,
        "status": item.status,
        "features": features_of(item),
        "created_at": item.created_at,
        "updated_at": item.updated_at,
    }


def store_session(
    session: Session, organization: Organization, agent: Agent | None, title: str | None, tags: list[str]
) -> dict[str, object]:
    """Store a new session, commit, and return it as it is served."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    item = AgentSession(
        organization_id=organization.id,
        harness=None,
        agent=agent,
        public_id=new_id("session"),
        title=title,
        tags=tags,
        model_id=None,
        capabilities=[],
        status="started",
        created_at=now,
        updated_at=now,
    )
    session.add(item)
    session.commit()
    return as_dict(item, organization)
