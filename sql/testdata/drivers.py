"""What Python drivers see of the schema. Usage: drivers.py POSTGRES_URL, of a database with an empty schema."""

import asyncio
import decimal
import sys
import warnings

import asyncpg
import psycopg
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.ext.automap import automap_base

url = sys.argv[1]
PERCENTAGES = [(40, 40), (33.3, 33), (decimal.Decimal("66.6"), 66), (None, None)]


def error_code(e):
    """The SQLSTATE of an error, whichever driver raised it."""
    while e is not None:
        if getattr(e, "sqlstate", None):
            return e.sqlstate
        e = getattr(e, "orig", None) or e.__cause__
    return None


def check(what, got, want):
    print(f"{what}: {got!r}")
    assert got == want, f"{what}: got {got!r}, want {want!r}"


def with_psycopg():
    with psycopg.connect(url, autocommit=True) as conn:
        agent = conn.execute("select agentexec.create_activity(%s)", ["psycopg"]).fetchone()[0]
        append = "select percentage, status from agentexec.append_log(%s, %s, %s, %s)"

        def refused(sql, *args):
            try:
                conn.execute(sql, args)
            except psycopg.Error as e:
                return error_code(e)

        for given, want in PERCENTAGES:
            check(f"psycopg percentage {given!r}", conn.execute(append, [agent, "x", given, "RUNNING"]).fetchone(), (want, "RUNNING"))
        for given in [100.5, float("nan"), float("inf"), decimal.Decimal("-1")]:
            check(f"psycopg percentage {given!r}", refused(append, agent, "x", given, None), "TA422")
        as_text = append.replace("%s)", "%s::text)")
        check("psycopg status as text, lower case", conn.execute(as_text, [agent, "x", None, "running"]).fetchone()[1], "RUNNING")
        check("psycopg status as text, unknown", refused(as_text, agent, "x", None, "done"), "TA422")
        check("psycopg status untyped, lower case", refused(append, agent, "x", None, "running"), "22P02")
        statuses = "select agentexec.list_activities(statuses => %s::text[]::agentexec.status[])->>'total'"
        check("psycopg statuses as text[]", conn.execute(statuses, [["running", "QUEUED"]]).fetchone()[0], "1")
        row = conn.execute("select * from agentexec.append_log(%s, 'x')", [agent])
        check("psycopg columns", [c.name for c in row.description][-1], "cancel_requested")


async def with_asyncpg():
    conn = await asyncpg.connect(url)
    agent = await conn.fetchval("select agentexec.create_activity($1)", "asyncpg")
    append = "select percentage, status from agentexec.append_log($1, $2, $3, $4)"

    async def refused(sql, *args):
        try:
            await conn.fetchrow(sql, *args)
        except asyncpg.PostgresError as e:
            return error_code(e)

    for given, want in PERCENTAGES:
        check(f"asyncpg percentage {given!r}", tuple(await conn.fetchrow(append, agent, "x", given, "RUNNING")), (want, "RUNNING"))
    for given in [100.5, float("nan"), float("inf")]:
        check(f"asyncpg percentage {given!r}", await refused(append, agent, "x", given, None), "TA422")
    as_text = append.replace("$4", "$4::text")
    check("asyncpg status as text, lower case", (await conn.fetchrow(as_text, agent, "x", None, "running"))["status"], "RUNNING")
    check("asyncpg status as text, unknown", await refused(as_text, agent, "x", None, "done"), "TA422")
    check("asyncpg status untyped, lower case", await refused(append, agent, "x", None, "running"), "22P02")
    await conn.close()


async def with_sqlalchemy():
    warnings.filterwarnings("error", message="Did not recognize type", category=sqlalchemy.exc.SAWarning)
    engine = create_async_engine("postgresql+asyncpg://" + url.split("://", 1)[1].split("?")[0])
    base = automap_base(metadata=sqlalchemy.MetaData(schema="agentexec"))
    async with engine.begin() as conn:
        await conn.run_sync(lambda c: base.metadata.reflect(c, only=["activity", "activity_log"]))
    base.prepare()
    log = base.classes.activity_log
    func = sqlalchemy.func.agentexec

    async with AsyncSession(engine) as session:
        agent = (await session.execute(sqlalchemy.select(func.create_activity("sqlalchemy")))).scalar()
        for given, want in PERCENTAGES:
            line = func.append_log(agent, "x", given, "running").table_valued("percentage", "status")
            got = (await session.execute(sqlalchemy.select(line.c.percentage, line.c.status))).one()
            check(f"SQLAlchemy percentage {given!r}, status lower case", tuple(got), (want, "RUNNING"))
        await session.commit()
        try:
            await session.execute(sqlalchemy.select(func.append_log(agent, "x", 5, "done")))
        except sqlalchemy.exc.DBAPIError as e:
            check("SQLAlchemy status unknown", error_code(e), "TA422")
        await session.rollback()

        activity = base.classes.activity
        key = (await session.execute(sqlalchemy.select(activity.id).where(sqlalchemy.cast(activity.agent_id, sqlalchemy.Text) == str(agent)))).scalar()
        added = log(activity_id=key, message="by session.add")
        session.add(added)
        await session.flush()
        await session.refresh(added)
        check("SQLAlchemy session.add", (added.id is not None, added.seq, added.status), (True, 6, "RUNNING"))
        session.add_all([log(activity_id=key, message=f"line {n}", percentage=n, status="RUNNING") for n in range(3)])
        await session.commit()
        last = (await session.execute(sqlalchemy.select(activity.last_seq).where(activity.id == key))).scalar()
        check("SQLAlchemy session.add_all", last, 9)
    await engine.dispose()


with_psycopg()
asyncio.run(with_asyncpg())
asyncio.run(with_sqlalchemy())
