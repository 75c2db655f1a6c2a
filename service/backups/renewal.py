"""What a database that was restored must not go on with: another life begins.

Versions of rows and cursors of the feed bear numbers of transactions, which are given again. What was taken from people
since the backup (a session that was ended, a token that was used) would be theirs again. Deliveries that were waiting
then have been sent since.
"""

from collections.abc import Sequence

from service.backups.contents import block, literal
from service.db.connections import Connection

HELD = (
    "Not sent: the database was restored from a time when this was waiting. It may have been sent since; "
    "replay it where it was not."
)
_STATEMENTS = (
    ("rowhouse.sessions", "delete from rowhouse.sessions"),
    ("rowhouse.refresh_tokens", "delete from rowhouse.refresh_tokens"),
    ("rowhouse.tickets", "delete from rowhouse.tickets"),
    (
        "rowhouse.deliveries",
        f"update rowhouse.deliveries set state = 'dead', error = {literal(HELD)}, finished_at = clock_timestamp() "  # noqa: S608
        "where state in ('waiting', 'pending')",
    ),
    ("rowhouse.lanes", "delete from rowhouse.lanes"),
)
# Their sessions keep what they know of the life before.
_DISCONNECT = """
select count(pg_terminate_backend(pid)) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
"""


def renewal(actor: str, reason: str, gone: Sequence[int] = ()) -> str:
    """The statements, for a database of any release. `gone` are the log's numbers of tables that are no more: their
    rows name them by a number that another table may have here.
    """
    statements = [
        ("rowhouse.cluster", "update rowhouse.cluster set epoch = md5(gen_random_uuid()::text)"),
        *_STATEMENTS,
        (
            "rowhouse.security_events",
            "insert into rowhouse.security_events (kind, actor, details) values ('database_restored', "  # noqa: S608
            f"{literal(actor)}, json_build_object('from', {literal(reason)}))",
        ),
    ]
    if gone:
        numbers = ", ".join(str(int(number)) for number in gone)
        nowhere = "update rowhouse.tracked t set relation = (4294967295 - t.id)::oid::regclass where t.id in"
        statements.append(("rowhouse.tracked", f"{nowhere} ({numbers})"))
    statements.append(("rowhouse.log_state", "perform rowhouse.begin_life()"))
    where = "    if to_regclass({}) is not null then {}; end if;"
    body = "\n".join(where.format(literal(table), statement) for table, statement in statements)
    return block(f"begin\n{body}\nend")


# The functions of the log's triggers name tables by numbers; those of here are others.
ARRANGEMENT = """
do $rowhouse$
begin
    if to_regproc('rowhouse.arrange_all') is not null then perform rowhouse.arrange_all(); end if;
end
$rowhouse$;
"""


async def renew(connection: Connection, actor: str) -> int:
    """Begin another life in a database that came from elsewhere, and let every service read that. Returns how many
    connections were ended for it.
    """
    async with connection.transaction():
        await connection.execute(renewal(actor, "renew-epoch"))
    await connection.execute(ARRANGEMENT)
    return int(await connection.fetchval(_DISCONNECT))
