"""FastAPI + SQLAlchemy 2, as FastAPI's documentation teaches it, for uvicorn."""

from collections.abc import Iterator
from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Header, HTTPException, Query
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from bench.peers import models

app = FastAPI()


class CapabilityOut(BaseModel):
    """A capability of a session."""

    ref: str
    config: dict[str, object] | None = None


class SessionIn(BaseModel):
    """A new session."""

    agent_id: Annotated[str | None, Field(pattern="^agent_[0-9A-Za-z-]{1,64}$")] = None
    title: str | None = None
    tags: list[str] = []


class SessionOut(BaseModel):
    """A session."""

    id: str
    organization_id: str
    harness_id: str
    agent_id: str | None
    title: str | None
    tags: list[str]
    model_id: str | None
    capabilities: list[CapabilityOut]
    status: str
    features: list[str]
    created_at: str
    updated_at: str


class Page(BaseModel):
    """A page of sessions."""

    data: list[SessionOut]
    total: int
    offset: int
    limit: int


def get_session() -> Iterator[Session]:
    """Yield the database session of a request."""
    with models.SessionLocal() as session:
        yield session


Database = Annotated[Session, Depends(get_session)]


def get_organization(session: Database, authorization: Annotated[str | None, Header()] = None) -> models.Organization:
    """Return the organization of the key."""
    organization = models.find_organization(session, authorization)
    if organization is None:
        raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"})
    return organization


@app.get("/v1/sessions", response_model=Page, response_model_exclude_unset=True)
def list_sessions(
    session: Database,
    organization: Annotated[models.Organization, Depends(get_organization)],
    agent_id: Annotated[str | None, Query(pattern="^agent_[0-9A-Za-z-]{1,64}$")] = None,
    status: Literal["started", "active", "idle"] | None = None,
    search: Annotated[str | None, Query(min_length=1, max_length=200)] = None,
    offset: Annotated[int, Query(ge=0, le=2147483647)] = 0,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> dict[str, object]:
    """A page of the organization's sessions, newest first."""
    return models.find_page(session, organization, offset, limit, agent_id, status, search)


@app.post("/v1/sessions", status_code=201, response_model=SessionOut, response_model_exclude_unset=True)
def create_session(
    session: Database,
    organization: Annotated[models.Organization, Depends(get_organization)],
    new: SessionIn,
) -> dict[str, object]:
    """Create a session."""
    agent = None
    if new.agent_id is not None:
        agent = models.find_agent(session, organization, new.agent_id)
        if agent is None:
            raise HTTPException(400, "agent_id must be of an existing agent")
    return models.store_session(session, organization, agent, new.title, new.tags)
