"""Reading a capability catalog from a file."""

from collections import Counter
from pathlib import Path

from marshmallow import ValidationError

from everruns.records import Record
from everruns.schemas.fields import flatten, shown
from everruns.schemas.resources import CapabilitySchema
from everruns.transfer.importer import MAX_ERRORS, ImportRefused
from everruns.transfer.parser import parse


def read(path: Path) -> list[Record]:
    """Return the validated capabilities of the catalog file at `path`, an array of objects.

    Raises `ImportRefused` with up to 20 errors, duplicate ids among them, and `OSError`.
    """
    schema = CapabilitySchema()
    with path.open("rb") as file:
        entries = [parsed for group in parse(str(path), file) for parsed in group]
    errors = [f"{where} {error}" for where, record, error in entries if record is None]
    capabilities: list[Record] = []
    for where, record, _ in entries:
        if record is not None:
            try:
                capabilities.append(schema.load(record))
            except ValidationError as error:
                errors += (f"{where}: {key} {message}" for key, message in flatten(error.messages_dict))
    ids = Counter(capability["id"] for capability in capabilities)
    errors += (f"{path}: the id {shown(id_)} must be unique; got it {n} times" for id_, n in ids.items() if n > 1)
    if not capabilities and not errors:
        errors.append(f"{path} must contain a capability")
    if errors:
        raise ImportRefused("\n".join(errors[:MAX_ERRORS]))
    return capabilities
