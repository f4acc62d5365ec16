"""The tables as SQLAlchemy models, and the queries of a page, shared by the two SQLAlchemy peers."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import JSON, ForeignKey, create_engine, func, select, text
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    joinedload,
    mapped_column,
    relationship,
    selectinload,
    sessionmaker,
)

DATABASE = Path(os.environ["EVERRUNS_DATABASE"]).absolute()
engine = create_engine(f"sqlite:///{DATABASE.as_uri()}?mode=ro&uri=true", pool_size=10)
SessionLocal = sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    """The base of the models."""


class Organization(Base):
    """An organization."""

    __tablename__ = "organizations"
    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str]
    name: Mapped[str]


class ApiKey(Base):
    """A key of an organization."""

    __tablename__ = "api_keys"
    id: Mapped[int] = mapped_column(primary_key=True)
    organization_id: Mapped[int] = mapped_column(ForeignKey("organizations.id"))
    sha256: Mapped[bytes]
    expires_at: Mapped[str | None]
    revoked_at: Mapped[str | None]
    organization: Mapped[Organization] = relationship()


class AgentCapability(Base):
    """What an agent can do."""

    __tablename__ = "agent_capabilities"
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    capability_id: Mapped[str]


class HarnessCapability(Base):
    """What a harness can do."""

    __tablename__ = "harness_capabilities"
    harness_id: Mapped[int] = mapped_column(ForeignKey("harnesses.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    capability_id: Mapped[str]


class SessionCapability(Base):
    """What a session can do besides."""

    __tablename__ = "session_capabilities"
    session_id: Mapped[int] = mapped_column(ForeignKey("sessions.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    capability_id: Mapped[str]
    config: Mapped[dict[str, object] | None] = mapped_column(JSON)


class Harness(Base):
    """A harness."""

    __tablename__ = "harnesses"
    id: Mapped[int] = mapped_column(primary_key=True)
    organization_id: Mapped[int] = mapped_column(ForeignKey("organizations.id"))
    public_id: Mapped[str]
    capabilities: Mapped[list[HarnessCapability]] = relationship(order_by=HarnessCapability.position)


class Agent(Base):
    """An agent."""

    __tablename__ = "agents"
    id: Mapped[int] = mapped_column(primary_key=True)
    organization_id: Mapped[int] = mapped_column(ForeignKey("organizations.id"))
    public_id: Mapped[str]
    capabilities: Mapped[list[AgentCapability]] = relationship(order_by=AgentCapability.position)


class AgentSession(Base):
    """A session of an agent."""

    __tablename__ = "sessions"
    id: Mapped[int] = mapped_column(primary_key=True)
    organization_id: Mapped[int] = mapped_column(ForeignKey("organizations.id"))
    harness_id: Mapped[int | None] = mapped_column(ForeignKey("harnesses.id"))
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"))
    public_id: Mapped[str]
    title: Mapped[str | None]
    tags: Mapped[list[str]] = mapped_column(JSON)
    model_id: Mapped[str | None]
    status: Mapped[str]
    created_at: Mapped[str]
    updated_at: Mapped[str]
    harness: Mapped[Harness | None] = relationship()
    agent: Mapped[Agent] = relationship()
    capabilities: Mapped[list[SessionCapability]] = relationship(order_by=SessionCapability.position)


def load_features() -> dict[str, frozenset[str]]:
    """The features of each available capability, those of all it needs included; read once, at start."""
    with engine.connect() as connection:
        available = set(connection.scalars(text("SELECT id FROM capabilities WHERE status = 'available'")))
        needs, gives = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
        for capability_id, dependency_id in connection.execute(text("SELECT * FROM capability_dependencies")):
            needs[capability_id].append(dependency_id)
        for capability_id, feature in connection.execute(text("SELECT * FROM capability_features")):
            gives[capability_id].append(feature)
    features = {}
    for capability_id in available:
        active, waiting = set[str](), [capability_id]
        while waiting:
            name = waiting.pop()
            if name in available and name not in active:
                active.add(name)
                waiting += needs[name]
        features[capability_id] = frozenset(feature for name in active for feature in gives[name])
    return features


FEATURES = load_features()


def features_of(item: AgentSession) -> list[str]:
    """The features of the harness's, the agent's and the session's own capabilities."""
    capabilities: list[HarnessCapability | AgentCapability | SessionCapability] = [
        *(item.harness.capabilities if item.harness else []),
        *item.agent.capabilities,
        *item.capabilities,
    ]
    return sorted(set[str]().union(*(FEATURES.get(each.capability_id, ()) for each in capabilities)))


def find_organization(session: Session, authorization: str | None) -> Organization | None:
    """The organization of the key in an `Authorization` header."""
    scheme, _, key = (authorization or "").partition(" ")
    if scheme.lower() != "bearer":
        return None
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


def find_page(
    session: Session, organization: Organization, agent_id: str | None, offset: int, limit: int
) -> tuple[int, Sequence[AgentSession]]:
    """The total and the sessions of a page, with all that the answer shows of them loaded."""
    wanted = [AgentSession.organization_id == organization.id]
    if agent_id is not None:
        same_id = func.lower(func.replace(Agent.public_id, "-", ""))
        agent = session.scalar(
            select(Agent.id).where(
                Agent.organization_id == organization.id, same_id == agent_id.replace("-", "").lower()
            )
        )
        wanted.append(AgentSession.agent_id == (agent or -1))
    total = session.scalar(select(func.count()).select_from(AgentSession).where(*wanted)) or 0
    newest = (AgentSession.created_at.desc(), AgentSession.id.desc())
    # The ids first: a join in the same SELECT would be made for every row that OFFSET skips.
    ids = select(AgentSession.id).where(*wanted).order_by(*newest).offset(offset).limit(limit)
    page = (
        select(AgentSession)
        .where(AgentSession.id.in_(ids))
        .options(
            joinedload(AgentSession.harness).selectinload(Harness.capabilities),
            joinedload(AgentSession.agent, innerjoin=True).selectinload(Agent.capabilities),
            selectinload(AgentSession.capabilities),
        )
        .order_by(*newest)
    )
    return total, session.scalars(page).all()
