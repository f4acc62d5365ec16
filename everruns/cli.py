"""The commands: `everruns --help` shows them. What a script would use goes to standard output, alone."""

import os
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack, closing, suppress
from dataclasses import astuple
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from flask import current_app
from flask.cli import FlaskGroup

from everruns import __version__, auth, catalog, create_app, db, demo, exporter, heartbeat, reader, spans
from everruns.importer import Import, ImportRefused
from everruns.schemas import escaped
from everruns.values import is_id

SHARED_MEMORY_BYTES = 32 * 1024  # the least that SQLite needs beside a database


class _Group(FlaskGroup):
    """Flask's commands and ours; what the database or the system refuses is one clear line and exit status 1."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        # Python has None for a stream that was closed. In its place comes one that fails, or to tell, one to nowhere.
        sys.stdin = sys.stdin or os.fdopen(os.open(os.devnull, os.O_WRONLY))
        sys.stdout = sys.stdout or os.fdopen(os.open(os.devnull, os.O_RDONLY), "w")
        sys.stderr = sys.stderr or StringIO()
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            sys.stdout = StringIO()  # at its end Python would try again what could not be written
            what = ": ".join(str(part) for part in (error.filename, error.strerror or error) if part)
            say(f"Error: {what}; nothing was changed")
            sys.exit(1)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except db.DatabaseUnavailable as error:
            raise click.ClickException(str(error)) from None
        except UnicodeEncodeError:
            raise click.ClickException("what you give must be valid UTF-8; nothing was changed") from None
        except sqlite3.OperationalError as error:
            advice = _advice(error, ctx.obj.load_app().config["DATABASE"])
            raise click.ClickException(f"{advice}; nothing was changed") from None
        except sqlite3.DatabaseError as error:
            raise click.ClickException(f"the database refuses: {error}; nothing was changed") from None


def _advice(error: sqlite3.OperationalError, path: Path) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_IOERR and shutil.disk_usage(path.parent).free < SHARED_MEMORY_BYTES:
        code = sqlite3.SQLITE_FULL  # what SQLite says when there is no room for its -shm file tells nobody
    reasons = {
        sqlite3.SQLITE_BUSY: "the database is locked by another program; wait, or raise EVERRUNS_DATABASE_TIMEOUT",
        sqlite3.SQLITE_FULL: "the disk is full; make room and try again",
        sqlite3.SQLITE_READONLY: "this user may not write the database, or not its folder, where even to read "
        "it -wal and -shm files are made",
    }
    return reasons.get(code, f"the database cannot be used: {error}")


@click.group(cls=_Group, create_app=create_app, add_version_option=False, load_dotenv=False)
@click.version_option(__version__, prog_name="everruns")
def main() -> None:
    """Everruns Sessions: which sessions does my organization have?

    The database is the file named by EVERRUNS_DATABASE, by default instance/everruns.db.
    """


def say(message: str) -> None:
    """Tell the person at the terminal something that no script would use: when that fails, nothing else does."""
    try:
        click.echo(message, err=True)
    except OSError:
        sys.stderr = StringIO()  # as in `main`


def give(lines: Iterable[str]) -> None:
    """Write what a script would use to standard output, at once and in UTF-8; raises `OSError`.

    What is shown this once is given inside the transaction that stores it.
    """
    try:
        for line in lines:
            sys.stdout.buffer.write(line.encode("utf-8") + b"\n")
        sys.stdout.buffer.flush()
    except OSError as error:
        error.filename = "standard output"
        raise


def find_organization(connection: sqlite3.Connection, public_id: str) -> auth.Organization:
    """The organization with this public id; a `click.ClickException` says what to do when there is none."""
    organization = auth.find_organization(connection, public_id)
    if organization is None:
        raise click.ClickException(f"there is no organization {public_id}; make one with 'everruns create-org NAME'")
    return organization


@main.command("init-db")
def init_db() -> None:
    """Create the database, or do nothing if it is there and current."""
    db.refuse_on_replica()
    path = current_app.config["DATABASE"]
    built_in = catalog.read(catalog.BUILT_IN)
    made = db.create(
        path, current_app.config["DATABASE_TIMEOUT"], lambda connection: catalog.replace(connection, built_in)
    )
    say(f"{path} is {'created' if made else 'there and current; nothing to do'}")


def _org_id(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not is_id(value, "org"):
        raise click.BadParameter("must be org_ and then 1 to 64 of 0-9 A-Z a-z -")
    return value


def _text(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    if not value.strip():
        raise click.BadParameter("must not be empty")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise click.BadParameter("must be valid UTF-8") from None
    return value


@main.command("create-org")
@click.argument("name", callback=_text)
@click.option("--id", "public_id", metavar="org_…", callback=_org_id, help="The id, instead of a new random one.")
def create_org(name: str, public_id: str | None) -> None:
    """Create an organization and print its id."""
    with db.transaction() as connection:
        if public_id is not None and auth.find_organization(connection, public_id):
            raise click.ClickException(f"there is an organization {public_id} already; give another --id, or none")
        give([auth.create_organization(connection, name, public_id)])


@main.command("create-key")
@click.argument("org")
@click.option("--name", default="", help="What the key is for.")
@click.option("--expires-in-days", type=click.IntRange(1, 36500), help="Default: never.")
def create_key(org: str, name: str, expires_in_days: int | None) -> None:
    """Create an API key of the organization ORG and print it: the only time it is ever shown."""
    with db.transaction() as connection:
        give([auth.create_key(connection, find_organization(connection, org), name, expires_in_days)])


@main.command("list-keys")
@click.argument("org")
def list_keys(org: str) -> None:
    """List the keys of the organization ORG: tab-separated prefix, name, created, expires, revoked."""
    say("PREFIX\tNAME\tCREATED\tEXPIRES\tREVOKED")
    with db.snapshot() as connection:
        keys = auth.list_keys(connection, find_organization(connection, org))
        give("\t".join(" ".join((cell or "").split()) or "-" for cell in astuple(key)) for key in keys)


@main.command("revoke-key")
@click.argument("org")
@click.argument("prefix")
def revoke_key(org: str, prefix: str) -> None:
    """Revoke the key of the organization ORG that begins with PREFIX, as list-keys shows it."""
    with db.transaction() as connection:
        if not auth.revoke_key(connection, find_organization(connection, org), prefix):
            known = f"'everruns list-keys {org}' shows the first {auth.PREFIX_LENGTH} characters of each"
            raise click.ClickException(f"no key of {org} has these first characters; {known}, all of which are needed")
    say("revoked")


def _progress(size: int) -> Any:
    """A progress bar on a terminal, for `size` bytes; 0 is standard input, of which nobody knows the end."""
    unknown = iter(lambda: 0, 0) if size == 0 else None
    return click.progressbar(
        unknown, length=size or None, label="Importing", file=sys.stderr, hidden=not sys.stderr.isatty()
    )


@main.command("import")
@click.option("--org", required=True, help="The id of the organization that gets the records.")
@click.argument("files", metavar="FILE…", nargs=-1, required=True)
def import_(org: str, files: tuple[str, ...]) -> None:
    """Import harnesses, agents and sessions, as the Everruns API serves them; - is standard input. All or nothing."""
    size = sum(os.path.getsize(name) for name in files if os.path.isfile(name))
    with db.transaction() as connection:
        find_organization(connection, org)  # before a pipe is read, which may take long
    with ExitStack() as stack:
        sources = [stack.enter_context(reader.source(name, sys.stdin.buffer)) for name in files]
        connection = stack.enter_context(db.transaction())
        organization = find_organization(connection, org)
        bar: Any
        with _progress(size) as bar:
            found = (item for given in zip(files, sources, strict=True) for item in reader.read(*given, bar.update))
            try:
                counts = Import(connection, organization).run(found)
            except ImportRefused as refused:
                raise click.ClickException(
                    "nothing was imported; mend this and import again:\n" + "\n".join(refused.faults)
                ) from None
    kinds = {"harness": "harnesses", "agent": "agents", "session": "sessions"}
    if not any(kind == "harness" for kind, _ in counts):
        del kinds["harness"]  # which few have
    say(
        "; ".join(
            f"{name}: " + ", ".join(f"{counts[kind, outcome]} {outcome}" for outcome in ("new", "changed", "unchanged"))
            for kind, name in kinds.items()
        )
    )


@main.command("export")
@click.option("--org", required=True, help="The id of the organization.")
def export(org: str) -> None:
    """Print everything of an organization as lines that import takes: harnesses, agents, sessions."""
    with db.snapshot() as connection:
        give(exporter.export(connection, find_organization(connection, org)))


@main.command("load-catalog")
@click.argument("file", type=click.Path(path_type=Path))
def load_catalog(file: Path) -> None:
    """Replace the capability catalog by the one in FILE."""
    try:
        capabilities = catalog.read(file)
    except catalog.CatalogRefused as refused:
        raise click.ClickException(f"the catalog stays as it is:\n{refused}") from None
    with db.transaction() as connection:
        catalog.replace(connection, capabilities)
    known = {capability["id"] for capability in capabilities}
    for capability in capabilities:
        for dependency in set(capability["dependencies"] or []) - known:
            needs = f"{escaped(capability['id'])} needs {escaped(dependency)}"
            say(f"note: {needs}, which is not in the catalog and contributes nothing")
    say(f"{len(capabilities)} capabilities loaded")


@main.command("check")
def check() -> None:
    """Check the database: integrity, schema, foreign keys, and every count. Exit status 1 and a line for each fault."""
    with db.inspection() as connection:
        faults = [fault for (fault,) in connection.execute("PRAGMA integrity_check") if fault != "ok"]
        faults += db.missing(connection)
        faults += (
            f"{table} row {row} refers to a row of {parent} that is not there"
            for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check")
        )
        faults += spans.faults(connection)
    give(faults)
    if faults:
        raise click.ClickException(f"faults found: {len(faults)}; restore a backup")
    say("no fault found")


@main.command("heartbeat")
@click.option("--every", metavar="SECONDS", type=click.FloatRange(0.1, 3600), help="Go on until stopped.")
def heartbeat_(every: float | None) -> None:
    """Store a sign of life, by which the replicas of this database tell how old their data is."""
    if every is not None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        try:
            with db.transaction() as connection:
                heartbeat.beat(connection)
        except (db.DatabaseUnavailable, sqlite3.Error) as error:
            if every is None or isinstance(error, db.ReadOnly):
                raise
            say(f"no heartbeat: {error}")
        if every is None:
            return
        time.sleep(every)


def _sync(folder: Path) -> None:
    """Let what was renamed in `folder` outlive a power cut, where its file system can do so."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@main.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
def backup(file: Path) -> None:
    """Write a consistent copy of the database to FILE, which must not exist, while the service runs."""
    try:
        if os.path.lexists(file):
            raise FileExistsError
        with TemporaryDirectory(dir=file.parent, prefix=".backup-", ignore_cleanup_errors=True) as folder:
            partial = Path(folder, "partial.db")
            partial.touch(mode=0o600)
            with db.snapshot() as connection, closing(sqlite3.connect(partial)) as copy:
                connection.backup(copy)
            # A rename would overwrite, so the name is taken first; a link would not, but a backup medium may know none.
            os.close(os.open(file, os.O_CREAT | os.O_EXCL))
            partial.rename(file)
    except FileExistsError:
        raise click.ClickException(f"{file} exists; give another name, or remove it first") from None
    _sync(file.parent)
    say(f"{file} is written")


@main.command("demo")
@click.option("--sessions", default=1000, show_default=True, type=click.IntRange(0), help="How many sessions.")
@click.option(
    "--if-empty", is_flag=True, help="For scripts: nothing when there is an organization already, else only the key."
)
def demo_(sessions: int, if_empty: bool) -> None:
    """Create an example organization with realistic agents and sessions, and print a key of it."""
    with db.transaction() as connection:
        if if_empty and connection.execute("SELECT EXISTS (SELECT 1 FROM organizations)").fetchone() == (1,):
            return
        public_id = auth.create_organization(connection, "Example")
        organization = find_organization(connection, public_id)
        key = auth.create_key(connection, organization, "demo")
        Import(connection, organization).run(demo.records(sessions))
        give([key])
    if if_empty:
        return
    say(f"organization {public_id} with {sessions} sessions; where the service runs (on port 8000 with gunicorn), try:")
    say(f"  curl -H 'Authorization: Bearer {key}' 'http://127.0.0.1:8000/v1/sessions?limit=2'")
