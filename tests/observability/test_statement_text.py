"""What statements are called in traces."""

import pytest

from service.observability.statement_text import described


@pytest.mark.parametrize(
    ("sql", "summary"),
    [
        ("select a from (select * from public.flights where id = $1) x", "SELECT public.flights"),
        (
            "with ctx as (select 1), w as (insert into public.a (x) select 1 from ctx) select * from w",
            "INSERT public.a",
        ),
        ("with ctx as (select 1), w as (update only public.a as t set x = 1 from ctx) select 1", "UPDATE public.a"),
        ("with w as (delete from public.a where b = 1 returning *) select * from w", "DELETE public.a"),
        ('select 1 from "odd ""schema"."delete from x" where b = $1', "SELECT odd schema.delete from x"),
        ("select 'insert into public.b' from public.a for update", "SELECT public.a"),
        ("insert into public.a (x) values ($1) on conflict (x) do update set x = 1", "INSERT public.a"),
        ("select rowhouse.finish_delivery($1, $2)", "SELECT"),
        ("select extract(epoch from clock_timestamp()) from rowhouse.jobs", "SELECT rowhouse.jobs"),
        ("explain (format json) select * from public.a", "EXPLAIN public.a"),
        ("copy (select * from public.a)", "COPY public.a"),
        ("commit", "COMMIT"),
        ("", "SQL"),
    ],
)
def test_a_statement_is_called_by_what_it_does_and_to_which_table(sql: str, summary: str) -> None:
    assert described(sql).summary == summary
