"""Reading a capability catalog from a file."""

from collections import Counter
from pathlib import Path

from marshmallow import ValidationError

from everruns.records import Record
from everruns.schemas.fields import flatten, shown
from everruns.schemas.resources import CapabilitySchema
from everruns.transfer.parser import parse


class CatalogRefused(Exception):
    """The catalog cannot be loaded; the message has a line for each error."""


def read(path: Path) -> list[Record]:
    """Return the validated capabilities of the catalog file at `path`, an array of objects.

    Raises `CatalogRefused` with all errors, duplicate ids among them, and `OSError`.
    """
    schema = CapabilitySchema()
    capabilities: list[Record] = []
    errors: list[str] = []
    with path.open("rb") as file:
        for group in parse(str(path), file):
            for parsed in group:
                if parsed.record is None:
                    errors.append(f"{parsed.where} {parsed.error}")
                    continue
                try:
                    capabilities.append(schema.load(parsed.record))
                except ValidationError as error:
                    errors += (f"{parsed.where}: {key} {message}" for key, message in flatten(error.messages_dict))
    ids = Counter(capability["id"] for capability in capabilities)
    errors += (f"{path}: the id {shown(id_)} must be unique; got it {n} times" for id_, n in ids.items() if n > 1)
    if not capabilities and not errors:
        errors.append(f"{path} must contain a capability")
    if errors:
        raise CatalogRefused("\n".join(errors))
    return capabilities
