"""FastAPI + SQLAlchemy 2, as FastAPI's documentation teaches it, for uvicorn."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException, Query
from pydantic import BaseModel
from sqlalchemy.orm import Session

from bench.peers import models
from everruns.values import BASE_HARNESS

app = FastAPI()


class CapabilityOut(BaseModel):
    """A capability of a session."""

    ref: str
    config: dict[str, object] | None = None


class SessionOut(BaseModel):
    """A session."""

    id: str
    organization_id: str
    harness_id: str
    agent_id: str
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
    """A database session for a request."""
    with models.SessionLocal() as session:
        yield session


Database = Annotated[Session, Depends(get_session)]


def get_organization(session: Database, authorization: Annotated[str | None, Header()] = None) -> models.Organization:
    """The organization that asks."""
    organization = models.find_organization(session, authorization)
    if organization is None:
        raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"})
    return organization


@app.get("/v1/sessions", response_model_exclude_unset=True)
def list_sessions(
    session: Database,
    organization: Annotated[models.Organization, Depends(get_organization)],
    agent_id: Annotated[str | None, Query(pattern="^agent_[0-9A-Za-z-]{1,64}$")] = None,
    offset: Annotated[int, Query(ge=0, le=2147483647)] = 0,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Page:
    """The sessions of the asking organization, newest first."""
    total, found = models.find_page(session, organization, agent_id, offset, limit)
    data = [
        SessionOut(
            id=item.public_id,
            organization_id=organization.public_id,
            harness_id=item.harness.public_id if item.harness else BASE_HARNESS,
            agent_id=item.agent.public_id,
            title=item.title,
            tags=item.tags,
            model_id=item.model_id,
            capabilities=[
                CapabilityOut(ref=capability.capability_id)
                if capability.config is None
                else CapabilityOut(ref=capability.capability_id, config=capability.config)
                for capability in item.capabilities
            ],
            status=item.status,
            features=models.features_of(item),
            created_at=item.created_at,
            updated_at=item.updated_at,
        )
        for item in found
    ]
    return Page(data=data, total=total, offset=offset, limit=limit)
