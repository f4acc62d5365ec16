"""The commands of `everruns`. Standard output carries what a script would use, alone; everything else is on stderr."""

import io
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import click

from everruns import __version__, config
from everruns.ids import is_id
from everruns.records import Organization, SessionsQuery
from everruns.schemas.fields import escape, shown
from everruns.schemas.resources import SESSION_STATUSES
from everruns.store import backup, catalog, check, derived, heartbeat, keys, organizations, schema, sessions, tables
from everruns.store.db import Database, DatabaseUnavailable, ReadOnlyReplica, explain
from everruns.timestamps import parse_timestamp
from everruns.transfer import catalog as catalog_file
from everruns.transfer import demo, parser
from everruns.transfer.importer import Import, ImportRefused
from everruns.transfer.resources import AGENT, HARNESS, SESSION

MAX_LISTED = 5
BATCH = 500  # sessions deleted in one transaction


class _Group(click.Group):
    """Reports errors of the database and the system in one line, with exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DatabaseUnavailable as error:
            raise click.ClickException(str(error)) from None
        except UnicodeEncodeError:
            raise click.ClickException("arguments must be valid UTF-8; nothing was changed") from None
        except sqlite3.Error as error:
            raise click.ClickException(f"{explain(error, ctx.obj.path)}; nothing was changed") from None
        except PermissionError as error:
            advice = "; use 'everruns import ORG - < FILE'" if ctx.invoked_subcommand == "import" else ""
            raise click.ClickException(f"{error.filename}: permission denied for this user{advice}") from None
        except BrokenPipeError:
            raise
        except OSError as error:
            sys.stdout = io.StringIO()  # what a full disk did not take is not written again at exit
            what = ": ".join(str(part) for part in (error.filename, error.strerror or error) if part)
            raise click.ClickException(f"{what}; nothing was changed") from None


@click.group(cls=_Group)
@click.version_option(__version__, prog_name="everruns")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Everruns Sessions: a service that knows which sessions an organization has.

    The database is the file named by EVERRUNS_DATABASE, by default instance/everruns.db.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # as import reads it, in any locale
    for warning in config.unknown_settings():
        note(f"warning: {warning}")
    settings = config.load()
    ctx.obj = Database(settings.database, settings.database_timeout, settings.read_only, settings.max_replica_lag)
    ctx.call_on_close(ctx.obj.close)


def note(message: str) -> None:
    """Print a message for a person to standard error."""
    click.echo(message, err=True)


@contextmanager
def write(database: Database) -> Iterator[sqlite3.Connection]:
    """Yield a connection in a write transaction; afterwards the database file alone is complete."""
    with database.write() as connection:
        yield connection
    database.checkpoint()


def find_organization(connection: sqlite3.Connection, public_id: str) -> Organization:
    """Return the organization with this public id; raises `click.ClickException` when there is none."""
    organization = organizations.find_organization(connection, public_id)
    if organization is None:
        existing = [found.public_id for found, _ in organizations.list_organizations(connection)]
        there_are = ", ".join(existing[:MAX_LISTED]) + (", …" if len(existing) > MAX_LISTED else "")
        advice = f"there are {there_are}" if existing else "create one with 'everruns create-org NAME'"
        raise click.ClickException(f"there is no organization {public_id}; {advice}")
    return organization


class _OrganizationCommand(click.Command):
    """A command whose first argument is ORG, which may also be given as `--org ORG`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for index, arg in enumerate(args):
            if arg.startswith("--org="):
                args = [arg.removeprefix("--org="), *args[:index], *args[index + 1 :]]
            elif arg == "--org" and index + 1 < len(args):
                args = [args[index + 1], *args[:index], *args[index + 2 :]]
        return super().parse_args(ctx, args)


def command(name: str) -> Callable[[Callable[..., None]], click.Command]:
    """Return a decorator that makes a command of a function of the database and further parameters."""
    return lambda function: main.command(name)(click.pass_obj(function))


def organization_command(name: str) -> Callable[[Callable[..., None]], click.Command]:
    """Return a decorator that makes a command of a function of the database, `org` and further parameters."""
    return lambda function: main.command(name, cls=_OrganizationCommand)(
        click.argument("org")(click.pass_obj(function))
    )


def _check_org_id(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not is_id(value, "org"):
        raise click.BadParameter("must be org_ and 1 to 64 of 0-9 A-Z a-z -")
    return value


def _check_name(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    if not value.strip():
        raise click.BadParameter("must not be empty")
    return value


def _parse_time(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    try:
        return parse_timestamp(value if len(value) > 10 else f"{value}T00:00:00Z", round_up=True)
    except ValueError as error:
        raise click.BadParameter(f"{error}; got {shown(value)}") from None


@command("init-db")
def init_db(database: Database) -> None:
    """Create the database, or do nothing if it is current."""
    database.refuse_on_replica()
    capabilities = catalog_file.read(catalog.BUILT_IN)
    created = schema.create(database.path, database.timeout, lambda new: catalog.replace(new, capabilities))
    database.checkpoint()
    note(f"{database.path} {'was created' if created else 'is current'}")


@command("migrate")
def migrate(database: Database) -> None:
    """Upgrade a database that an older release made, after a backup beside it."""
    database.refuse_on_replica()
    version, copy = schema.migrate(database.path, database.timeout)
    if copy is None:
        note(f"{database.path} is current")
    else:
        database.checkpoint()
        note(f"{database.path} was migrated from schema version {version}; {copy} is the database before that")


@command("create-org")
@click.argument("name", callback=_check_name)
@click.option("--id", "public_id", metavar="org_…", callback=_check_org_id, help="The id; by default a new one.")
def create_org(database: Database, name: str, public_id: str | None) -> None:
    """Create an organization and print its id."""
    with write(database) as connection:
        if public_id is not None and organizations.find_organization(connection, public_id):
            raise click.ClickException(f"there is an organization {public_id} already; use another --id, or none")
        click.echo(organizations.create_organization(connection, name, public_id).public_id)


@command("list-orgs")
def list_orgs(database: Database) -> None:
    """List the organizations: tab-separated id, name, number of sessions."""
    with database.read() as connection:
        for organization, sessions in organizations.list_organizations(connection):
            click.echo(f"{organization.public_id}\t{' '.join(organization.name.split())}\t{sessions}")


@organization_command("rename-org")
@click.argument("name", callback=_check_name)
def rename_org(database: Database, org: str, name: str) -> None:
    """Give the organization ORG another name."""
    with write(database) as connection:
        organizations.rename_organization(connection, find_organization(connection, org), name)
    note("renamed")


@organization_command("delete-org")
@click.option("--yes", is_flag=True, help="Required: everything of the organization is deleted.")
def delete_org(database: Database, org: str, yes: bool) -> None:
    """Delete the organization ORG with its keys, sessions, agents and harnesses."""
    with database.read() as connection:
        organization = find_organization(connection, org)
        total = sessions.count_by_status(connection, organization, SessionsQuery())["total"]
    if not yes:
        what = f"'{escape(organization.name)}' with {total} sessions"
        raise click.ClickException(f"this deletes {what}; repeat with --yes")
    try:
        with database.write() as connection:
            keys.delete_keys(connection, organization)
        deleted = sum(_prune(database, organization, SessionsQuery(limit=BATCH)))
        with write(database) as connection:
            organizations.delete_organization(connection, organization)
    except sqlite3.Error as error:
        reason = explain(error, database.path)
        raise click.ClickException(f"{reason}; a part may be deleted, so repeat the command") from None
    note(f"deleted the organization and {deleted} sessions")


@organization_command("delete-session")
@click.argument("ids", metavar="ID…", nargs=-1, required=True)
def delete_session(database: Database, org: str, ids: tuple[str, ...]) -> None:
    """Delete sessions of the organization ORG: all of them, or none when one does not exist. Prints how many."""
    with write(database) as connection:
        organization = find_organization(connection, org)
        for public_id in ids:
            if not sessions.delete_session(connection, organization, public_id):
                raise click.ClickException(f"there is no session {escape(public_id)} in {org}; nothing was deleted")
    click.echo(len(ids))


@organization_command("prune")
@click.option("--before", required=True, callback=_parse_time, help="Created before this ISO 8601 time, or day in UTC.")
@click.option("--status", type=click.Choice(SESSION_STATUSES), help="Only sessions with this status.")
@click.option("--agent", metavar="agent_…", help="Only sessions of this agent.")
@click.option("--dry-run", is_flag=True, help="Delete nothing.")
def prune(database: Database, org: str, before: str, status: str | None, agent: str | None, dry_run: bool) -> None:
    """Delete old sessions of the organization ORG, in short transactions. Prints how many."""
    with database.read() as connection:
        organization = find_organization(connection, org)
        if agent is not None and tables.find_id(connection, AGENT.table, organization.id, agent) is None:
            raise click.ClickException(f"there is no agent {escape(agent)} in {org}; nothing was deleted")
        query = SessionsQuery(agent, created_before=before, status=status, limit=BATCH)
        if dry_run:
            click.echo(sessions.count_by_status(connection, organization, query)[status or "total"])
            return
    deleted = 0
    try:
        for count in _prune(database, organization, query):
            deleted += count
    except sqlite3.Error as error:
        reason = explain(error, database.path)
        raise click.ClickException(f"{reason}; {deleted} sessions were deleted before") from None
    database.checkpoint()
    click.echo(deleted)


def _prune(database: Database, organization: Organization, query: SessionsQuery) -> Iterator[int]:
    """Delete the sessions that match `query`, and yield after each transaction how many."""
    while True:
        started = time.monotonic()
        with database.write() as connection:
            deleted = sessions.prune(connection, organization, query)
        yield deleted
        if deleted < BATCH:
            return
        time.sleep(time.monotonic() - started)  # SQLite does not queue writers: without a pause, others time out


@organization_command("create-key")
@click.option("--name", default="", help="What the key is for.")
@click.option("--expires-in-days", type=click.IntRange(1, 36500), help="Default: never.")
@click.option("--read-only", is_flag=True, help="For dashboards: the key cannot change anything.")
def create_key(database: Database, org: str, name: str, expires_in_days: int | None, read_only: bool) -> None:
    """Create an API key of the organization ORG and print it: the only time it is shown."""
    with write(database) as connection:
        organization = find_organization(connection, org)
        click.echo(keys.create_key(connection, organization, name, expires_in_days, read_only))


@organization_command("list-keys")
def list_keys(database: Database, org: str) -> None:
    """List the keys of the organization ORG: tab-separated prefix, name, created, expires, revoked, access."""
    with database.read() as connection:
        organization = find_organization(connection, org)
        note("PREFIX\tNAME\tCREATED\tEXPIRES\tREVOKED\tACCESS")
        for key in keys.list_keys(connection, organization):
            click.echo("\t".join(" ".join((cell or "").split()) or "-" for cell in key))


@organization_command("revoke-key")
@click.argument("prefix")
def revoke_key(database: Database, org: str, prefix: str) -> None:
    """Revoke the key of the organization ORG that starts with PREFIX, as list-keys shows it."""
    with write(database) as connection:
        if not keys.revoke_keys(connection, find_organization(connection, org), prefix):
            rule = f"PREFIX must be the first {keys.PREFIX_LENGTH} characters of a key of {org}"
            raise click.ClickException(f"{rule}; see 'everruns list-keys {org}'")
    note("revoked")


@organization_command("import")
@click.option("--merge", is_flag=True, help="Keep stored values of keys that a record does not have.")
@click.argument("files", metavar="FILE…", nargs=-1, required=True)
def import_(database: Database, org: str, merge: bool, files: tuple[str, ...]) -> None:
    """Import harnesses, agents and sessions into the organization ORG, as the Everruns API serves them.

    The FILE - is standard input. All records are stored, or none.
    """
    database.refuse_on_replica()
    with database.read() as connection:
        find_organization(connection, org)  # before a pipe is read, which may take long
    with parser.parse_files(files, sys.stdin.buffer) as groups:
        _import(database, org, groups, merge)


def _import(database: Database, org: str, groups: Iterable[parser.Group], merge: bool = False) -> None:
    try:
        with write(database) as connection, _progress_bar(groups, "Importing") as shown:
            summary = Import(connection, find_organization(connection, org), merge).run(shown)
    except ImportRefused as refused:
        raise click.ClickException(f"nothing was imported; fix these errors and retry:\n{refused}") from None
    for line in summary.lines():
        note(line)


def _progress_bar(items: Iterable[Any], label: str) -> Any:
    return click.progressbar(items, label=label, file=sys.stderr, hidden=not sys.stderr.isatty())


@organization_command("pull")
@click.option("--from", "url", metavar="URL", required=True, help="The address of the server, without /v1.")
def pull(database: Database, org: str, url: str) -> None:
    """Copy harnesses, agents and sessions of another Everruns server into the organization ORG. All or nothing.

    The API key of the other server is read from EVERRUNS_PULL_KEY.
    """
    from everruns.transfer.puller import Pull, PullFailed  # here, because the HTTP client takes long to load

    database.refuse_on_replica()
    with database.read() as connection:
        find_organization(connection, org)
    key = os.environ.get("EVERRUNS_PULL_KEY")
    if not key:
        raise click.ClickException("set EVERRUNS_PULL_KEY to an API key of the other server")
    try:
        with TemporaryFile() as file:
            source = Pull(url, key, file)
            with _progress_bar(source.download(), "Downloading") as pages:
                for _ in pages:
                    pass
            _import(database, org, source.groups())
    except PullFailed as error:
        raise click.ClickException(f"{error}; nothing was changed") from None


@organization_command("export")
def export(database: Database, org: str) -> None:
    """Print everything of the organization ORG as lines that import takes: harnesses, agents, sessions."""
    with database.read() as connection:
        organization = find_organization(connection, org)
        for resource in (HARNESS, AGENT, SESSION):
            for line in tables.render_all(connection, resource.table, organization):
                click.echo(line)


@command("load-catalog")
@click.argument("file", type=click.Path(path_type=Path))
def load_catalog(database: Database, file: Path) -> None:
    """Replace the capability catalog by the one in FILE."""
    try:
        capabilities = catalog_file.read(file)
    except ImportRefused as refused:
        raise click.ClickException(f"the catalog was not changed:\n{refused}") from None
    with write(database) as connection:
        catalog.replace(connection, capabilities)
    ids = {capability["id"] for capability in capabilities}
    for capability in capabilities:
        for dependency in sorted(set(capability.get("dependencies", [])) - ids):
            note(f"note: {escape(capability['id'])} depends on {escape(dependency)}, which is not in the catalog")
    note(f"{len(capabilities)} capabilities loaded")


@command("check")
@click.option("--repair", is_flag=True, help="First fill again what is derived: counts, tags, titles, features.")
def check_(database: Database, repair: bool) -> None:
    """Check the database: integrity, schema, references, counts. Exit status 1 and a line for each error."""
    if repair:
        with write(database) as connection:
            derived.rebuild_all(connection)
    with database.read() as connection:
        errors = list(check.errors(connection))
    for error in errors:
        click.echo(error)
    if errors:
        advice = "" if repair else "'everruns check --repair' corrects what is derived; otherwise "
        raise click.ClickException(f"{len(errors)} errors; {advice}restore a backup")
    note("no errors")


@command("heartbeat")
@click.option("--every", metavar="SECONDS", type=click.FloatRange(0.1, 3600), help="Repeat until stopped.")
def heartbeat_(database: Database, every: float | None) -> None:
    """Store the current time, from which the replicas of this database compute the age of their data."""
    if every is not None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        try:
            with write(database) as connection:
                heartbeat.store_heartbeat(connection)
        except (DatabaseUnavailable, sqlite3.Error) as error:
            if every is None or isinstance(error, ReadOnlyReplica):
                raise
            note(f"no heartbeat: {error}")
        if every is None:
            return
        time.sleep(every)


@command("backup")
@click.argument("file", type=click.Path(path_type=Path))
def backup_(database: Database, file: Path) -> None:
    """Write a consistent copy of the database to FILE, which must not exist, while the service runs."""
    try:
        with database.read() as connection:
            backup.backup(connection, file)
    except FileExistsError:
        raise click.ClickException(f"{file} exists; use another name, or remove it first") from None
    note(f"{file} was written")


@command("restore")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def restore(database: Database, file: Path) -> None:
    """Replace the database by the backup FILE, after checking it. The service may run, and serves it at once."""
    database.refuse_on_replica()
    source = file.absolute()
    try:
        errors = check.backup_errors(source, database.timeout)
    except sqlite3.Error as error:
        raise click.ClickException(f"{file} cannot be read as a database: {error}; nothing was restored") from None
    if errors:
        raise click.ClickException(f"{file} has errors; nothing was restored:\n" + "\n".join(errors[:MAX_LISTED]))
    damaged = backup.restore(source, database.path, database.timeout)
    database.checkpoint()
    if damaged:
        note(f"the damaged database was moved to {damaged}")
    note(f"{database.path} was restored from {file}")


@command("demo")
@click.option("--sessions", "count", default=1000, show_default=True, type=click.IntRange(0), help="How many sessions.")
@click.option("--if-empty", is_flag=True, help="Do nothing when there is an organization already.")
def demo_(database: Database, count: int, if_empty: bool) -> None:
    """Create an example organization with realistic agents and sessions, and print a key of it."""
    with write(database) as connection:
        if if_empty and any(organizations.list_organizations(connection)):
            return
        organization = organizations.create_organization(connection, "Example")
        key = keys.create_key(connection, organization, "demo")
        Import(connection, organization).run(demo.records(count))
        click.echo(key)
    note(f"created organization {organization.public_id} with {count} example sessions and this API key")
