"""The audit chain in a service's schema: tables and triggers, made by its migrations.

Facts are rows. A table that holds some is `audited`: each change that matters becomes an entry of `audit_log`, written
by a constraint trigger at the commit. Only then is the chain's one lock taken, as the last one of the transaction: who
holds it waits for nobody, so there is no deadlock, and the chain's order is the order of the commits. A transaction
whose entry cannot be written does not commit.

The functions run with the rights of the migrator. The service may read the chain, and nothing else.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from sigmax.domain.audit import GENESIS
from sigmax.runtime.migrations import grant_no_more, make_append_only, make_changeable

LOG = "audit_log"
ANCHOR = "audit_anchor"


def create_audit_chain(op: Any, owner: str) -> None:
    """Create an empty chain in a schema."""
    for statement in (_LOG, _ANCHOR, f"INSERT INTO {ANCHOR} (position, hash) VALUES (0, '{GENESIS}')"):  # noqa: S608
        op.execute(statement)
    make_append_only(op, owner, LOG)
    grant_no_more(op, owner, {LOG: "SELECT", ANCHOR: "SELECT"})
    op.execute(_APPEND.format(owner=owner))
    op.execute(f"REVOKE ALL ON FUNCTION audit_append(text, text, uuid, jsonb) FROM PUBLIC, {owner}")


def drop_audit_chain(op: Any) -> None:
    """Undo `create_audit_chain`; every table must be `unaudited` before."""
    op.execute("DROP FUNCTION audit_append(text, text, uuid, jsonb)")
    make_changeable(op, LOG)
    op.execute(f"DROP TABLE {LOG}")
    op.execute(f"DROP TABLE {ANCHOR}")


def audited(
    op: Any,
    owner: str,
    table: str,
    kind: str,
    *,
    on: str = "INSERT",
    subject: str,
    data: Iterable[str] | Mapping[str, str],
    when: str = "",
    correlation: str = "NULL::uuid",
) -> None:
    """Have each `on` (`INSERT`, `UPDATE`) of a row of `table` written to the chain.

    `kind`, `subject`, `correlation`, and the values of `data` are SQL over `NEW` (and `OLD`); `data` may also be names
    of columns. `when` chooses among changes, over the same. Never give a secret or its hash.
    """
    fields = data if isinstance(data, Mapping) else {name: f'NEW."{name}"' for name in data}
    built = ", ".join(f"'{name}', {value}" for name, value in fields.items())
    name = trigger_of(table, on)
    op.execute(_TRIGGER.format(owner=owner, name=name, kind=kind, subject=subject, correlation=correlation, data=built))
    op.execute(f"REVOKE ALL ON FUNCTION {name}() FROM PUBLIC, {owner}")
    chosen = f" WHEN ({when})" if when else ""
    op.execute(
        f"CREATE CONSTRAINT TRIGGER {name} AFTER {on} ON {table} DEFERRABLE INITIALLY DEFERRED"
        f" FOR EACH ROW{chosen} EXECUTE FUNCTION {name}()"
    )


def unaudited(op: Any, table: str, *, on: str = "INSERT") -> None:
    """Undo `audited`."""
    name = trigger_of(table, on)
    op.execute(f"DROP TRIGGER {name} ON {table}")
    op.execute(f"DROP FUNCTION {name}()")


def trigger_of(table: str, on: str) -> str:
    """Name the trigger of a table, and its function."""
    return f"audit_{table}_{on.lower()}"


def digest(column: str) -> str:
    """Give the SQL for what stands in for a long value of a row: its SHA-256, hex."""
    return f"""encode(sha256(convert_to(NEW."{column}"::text, 'UTF8')), 'hex')"""


_LOG = f"""
CREATE TABLE {LOG} (
    position bigint PRIMARY KEY,
    at timestamptz NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    correlation_id uuid,
    entry text NOT NULL,
    previous text NOT NULL,
    hash text NOT NULL
)
"""
_ANCHOR = f"""
CREATE TABLE {ANCHOR} (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    position bigint NOT NULL,
    hash text NOT NULL
)
"""
# Who appends locks the anchor and never changes it: a row that each commit changed would leave its old versions behind
# for as long as anybody reads, and a backup of an hour would make each append slower than the one before.
_APPEND = f"""
CREATE FUNCTION audit_append(kind text, subject text, correlation_id uuid, data jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    start record;
    newest record;
    number bigint;
    at timestamptz;
    entry text;
BEGIN
    SELECT a.position, a.hash INTO start FROM {{owner}}.{ANCHOR} a FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the audit chain of {{owner}} has lost its anchor: nothing can be recorded'
            USING ERRCODE = 'data_corrupted';
    END IF;
    SELECT l.position, l.hash INTO newest FROM {{owner}}.{LOG} l ORDER BY l.position DESC LIMIT 1;
    IF NOT FOUND THEN
        newest := start;
    END IF;
    number := newest.position + 1;
    at := clock_timestamp();
    entry := jsonb_build_object('position', number, 'at', at, 'kind', kind, 'subject', subject,
        'correlation_id', correlation_id, 'data', data)::text;
    INSERT INTO {{owner}}.{LOG} VALUES (number, at, kind, subject, correlation_id, entry, newest.hash,
        encode(sha256(convert_to(newest.hash || E'\\n' || entry, 'UTF8')), 'hex'));
END $$
"""  # noqa: S608 - names of ours
_TRIGGER = """
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
BEGIN
    PERFORM {owner}.audit_append({kind}, {subject}, {correlation}, jsonb_build_object({data}));
    RETURN NULL;
END $$
"""
