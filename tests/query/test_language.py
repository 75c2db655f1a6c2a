"""The query language: each construct, and the plan that it stands for."""

from dataclasses import replace

import orjson
import pytest
import sqlalchemy as sa

from service.catalog.catalog import Catalog
from service.catalog.resource import Column, Relation, Resource
from service.core.errors import InvalidQuery, RowhouseError, UnknownColumn
from service.query import cursor
from service.query.parse.cache import QueryCache
from service.query.parse.request import Bounds, Query, parse_filter, parse_query
from service.query.plan import (
    Aggregate,
    Aggregated,
    AllColumns,
    And,
    Bind,
    BindKind,
    ColumnRef,
    Comparison,
    Count,
    Embedded,
    GroupColumn,
    HasEmbedded,
    IsValue,
    Not,
    Operator,
    Or,
    OrderTerm,
    Predicate,
    Quantifier,
    ReadPlan,
    Selected,
    SelectItem,
    Step,
)
from service.query.walk import binds

BOUNDS = Bounds(max_rows=100, max_depth=4)


def column(sql: "sa.Column[object]") -> Column:
    return Column(sql.name, sql, str(sql.type), bool(sql.nullable), False, True, None)


def resource(name: str, key: str, *others: str, relations: tuple[Relation, ...] = ()) -> Resource:
    table = sa.Table(name, sa.MetaData(), sa.Column(key, sa.Text, primary_key=True), *(sa.Column(o) for o in others))
    computed = (column(sa.Column("full", sa.Text)),)
    return Resource.build(name, table, tuple(map(column, table.columns)), relations, computed=computed)


TO_CLIENT = Relation("client", "clients", False, (("client_id", "id"),), "orders_client_fkey")
TO_ITEMS = Relation("items", "items", True, (("id", "order_id"),), "items_order_fkey")
ORDERS = resource(
    "orders", "id", "client_id", "amount", "data", "a b", "naïve", "with-dash", 'q"uo.te', "select", "not", "tags",
    relations=(TO_CLIENT, TO_ITEMS),
)  # fmt: skip
CLIENTS, ITEMS = resource("clients", "id", "name"), resource("items", "id", "order_id", "price")
CATALOG = Catalog([ORDERS, CLIENTS, ITEMS])


def parsed(query: str) -> Query:
    return parse_query(CATALOG, ORDERS, query.replace("+", "%2B").encode(), BOUNDS)


def compared(
    name: str, operator: Operator, value: object = "", kind: BindKind = BindKind.TEXT, *steps: Step
) -> Comparison:
    return Comparison(ColumnRef(name, None, steps), operator, Bind(value, kind))


def same(operator: Operator) -> tuple[str, Predicate, list[object]]:
    return f"id={operator}.a,(b", compared("id", operator), ["a,(b"]


def constant(word: str) -> tuple[str, Predicate, list[object]]:
    return f"id=is.{word}", Comparison(ColumnRef("id"), Operator.IS, constant=IsValue(word.lower())), []


def key(text: str, *, is_text: bool = False) -> Step:
    return Step(Bind(text), is_text)


EQ, GT = Operator.EQ, Operator.GT
ID = compared("id", EQ)
FILTERS: list[tuple[str, Predicate, list[object]]] = [
    *(same(operator) for operator in Operator if operator not in (Operator.IN, Operator.IS)),
    ("id=not.eq.x", Not(ID), ["x"]),
    ("id=in.(a,\"b,\\\"c\",d e)", compared("id", Operator.IN, [], BindKind.LIST), [["a", 'b,"c', "d e"]]),
    ("id=in.()", compared("id", Operator.IN, [], BindKind.LIST), [[]]),
    ('id=in.("a"b,c)', compared("id", Operator.IN, [], BindKind.LIST), [['"a"b', "c"]]),
    *(constant(word) for word in ("null", "NULL", "not_null", "True", "false", "unknown")),
    ("id=like(any).{a*,b*}", Comparison(ColumnRef("id"), Operator.LIKE, Bind(""), quantifier=Quantifier.ANY),
     ["{a%,b%}"]),
    ("id=not.gte(all).{1,2}", Not(Comparison(ColumnRef("id"), Operator.GTE, Bind(""), quantifier=Quantifier.ALL)),
     ["{1,2}"]),
    ("id=fts(english).cat & dog".replace("&", "%26"),
     Comparison(ColumnRef("id"), Operator.FTS, Bind(""), configuration=Bind("")), ["cat & dog", "english"]),
    ("data->a->-1->>b=eq.x", compared("data", EQ, "", BindKind.TEXT, key("a"), Step(-1, False), key("b", is_text=True)),
     ["a", "b", "x"]),
    ('data->"a.b"=eq.x', compared("data", EQ, "", BindKind.TEXT, key("a.b")), ["a.b", "x"]),
    ("data->1a=eq.x", compared("data", EQ, "", BindKind.TEXT, key("1a")), ["1a", "x"]),
    ("a b=eq.x", compared("a b", EQ), ["x"]),
    (" a b =eq.x", compared("a b", EQ), ["x"]),
    ("naïve=eq.x", compared("naïve", EQ), ["x"]),
    ("with-dash=eq.x", compared("with-dash", EQ), ["x"]),
    ('"q\\"uo.te"=eq.x', compared('q"uo.te', EQ), ["x"]),
    ('"select"=eq.x', compared("select", EQ), ["x"]),
    ("not=eq.x", compared("not", EQ), ["x"]),
    ("and=(id.eq.1,amount.gt.2)", And((ID, compared("amount", GT))), ["1", "2"]),
    ("not.or=(id.eq.1,id.eq.2)", Not(Or((ID, ID))), ["1", "2"]),
    ("or=( id.eq.1 , not.and ( id.not.eq.2, not.gt.3 ) )",
     Or((ID, Not(And((Not(ID), compared("not", GT)))))), ["1 ", "2", "3 "]),
    ('or=(id.eq."a,b)",tags.cs.{1,"}",{2}},id.in.(x,"y"))',
     Or((ID, compared("tags", Operator.CONTAINS), compared("id", Operator.IN, [], BindKind.LIST))),
     ["a,b)", '{1,"}",{2}}', ["x", "y"]]),
    ("or=(id.eq.{a,id.eq.b)", Or((ID, ID)), ["{a", "b"]),
    ("or=(data->>a.is.null,id.eq(any).{1,2})",
     Or((Comparison(ColumnRef("data", None, (key("a", is_text=True),)), Operator.IS, constant=IsValue.NULL),
         Comparison(ColumnRef("id"), EQ, Bind(""), quantifier=Quantifier.ANY))), ["a", "{1,2}"]),
]  # fmt: skip


@pytest.mark.parametrize(("query", "expected", "values"), FILTERS, ids=[item[0] for item in FILTERS])
def test_filters(query: str, expected: Predicate, values: list[object]) -> None:
    plan = parsed(query).plan
    assert plan.where == expected
    assert [bind.value for bind in binds(plan)] == [*values, "100"]
    assert parse_filter(ORDERS, query.replace("+", "%2B"), 4) == expected


def shown(name: str, alias: str | None = None, cast: str | None = None, *steps: Step) -> Selected:
    return Selected(ColumnRef(name, cast, steps), alias or name)


def aggregated(function: Aggregate, *arguments: object, alias: str | None = None, cast: str | None = None) -> Selected:
    inner = ColumnRef(*arguments) if arguments else None  # type: ignore[arg-type]
    return Selected(Aggregated(function, inner, cast), alias or function.value)


def embedded(relation: Relation, alias: str, *items: SelectItem, inner: bool = False, spread: bool = False) -> Embedded:
    target = CATALOG.get(relation.target)
    return Embedded(relation, alias, ReadPlan(target, items), inner, Bind("100") if relation.is_many else None, spread)


SUM = Aggregate.SUM
SELECTS: list[tuple[str, tuple[SelectItem, ...]]] = [
    ("", (AllColumns(),)),
    ("*", (AllColumns(),)),
    ("id, other:amount", (shown("id"), shown("amount", "other"))),
    ('a b,"select",x:naïve', (shown("a b"), shown("select"), shown("naïve", "x"))),
    ("id::text,x:amount::numeric(10,2)", (shown("id", None, "text"), shown("amount", "x", "numeric(10,2)"))),
    ("id::int[],amount::Double  Precision", (shown("id", None, "int[]"), shown("amount", None, "double precision"))),
    ("id::pg_catalog.text", (shown("id", None, "pg_catalog.text"),)),
    ("_etag,full", (shown("_etag"), shown("full"))),
    ("data->a->0", (shown("data", "a", None, key("a"), Step(0, False)),)),
    ("data->3", (shown("data", "data", None, Step(3, False)),)),
    ("x:data->>a::int", (shown("data", "x", "int", key("a", is_text=True)),)),
    ("count()", (aggregated(Aggregate.COUNT),)),
    ("n:count()::text,id", (aggregated(Aggregate.COUNT, alias="n", cast="text"), shown("id"))),
    ("count", (aggregated(Aggregate.COUNT),)),
    ("n:count::text,id", (aggregated(Aggregate.COUNT, alias="n", cast="text"), shown("id"))),
    ("amount.sum()", (aggregated(SUM, "amount"),)),
    ("x:amount.sum()::int", (aggregated(SUM, "amount", alias="x", cast="int"),)),
    ("amount::numeric.avg()", (aggregated(Aggregate.AVG, "amount", "numeric"),)),
    ("data->a::numeric.sum()", (aggregated(SUM, "data", "numeric", (key("a"),)),)),
    ("id,client(*)", (shown("id"), embedded(TO_CLIENT, "client", AllColumns()))),
    ("clients (name)", (embedded(TO_CLIENT, "clients", shown("name")),)),
    ("c:clients!client_id!inner(name)", (embedded(TO_CLIENT, "c", shown("name"), inner=True),)),
    ("c:clients!inner!client_id(name)", (embedded(TO_CLIENT, "c", shown("name"), inner=True),)),
    ("clients!left(name)", (embedded(TO_CLIENT, "clients", shown("name")),)),
    ("id,...clients!client_id(name)", (shown("id"), embedded(TO_CLIENT, "clients", shown("name"), spread=True))),
    ("id,clients()", (shown("id"), embedded(TO_CLIENT, "clients"))),
    ("items(price.sum())", (embedded(TO_ITEMS, "items", aggregated(SUM, "price")),)),
]


@pytest.mark.parametrize(("text", "expected"), SELECTS, ids=[item[0] for item in SELECTS])
def test_selects(text: str, expected: tuple[SelectItem, ...]) -> None:
    assert parsed(f"select={text}").plan.select == expected


BY_ID = OrderTerm(ColumnRef("id"))


@pytest.mark.parametrize(
    ("query", "order", "can_continue"),
    [
        ("", (BY_ID,), True),
        ("order=id.desc.nullslast,id", (OrderTerm(ColumnRef("id"), True, False),), True),
        ("order=amount.nullsfirst , id.asc", (OrderTerm(ColumnRef("amount"), False, True), BY_ID), True),
        ("order=data->a->>0.desc", (OrderTerm(ColumnRef("data", None, (key("a"), Step(0, True))), True), BY_ID), True),
        ("order=full", (OrderTerm(ColumnRef("full")), BY_ID), True),
        ("select=client()&order=client(name).desc", (OrderTerm(ColumnRef("name"), True, None, "client"), BY_ID), True),
        ("select=count()&order=count().desc", (OrderTerm(Aggregated(Aggregate.COUNT), True),), True),
        ("select=id,count()&order=amount::int.sum()",
         (OrderTerm(Aggregated(SUM, ColumnRef("amount", "int"))), OrderTerm(GroupColumn("id"))), True),
        ("select=n:amount,id,count()&order=id.desc,amount.nullsfirst",
         (OrderTerm(GroupColumn("id"), True), OrderTerm(GroupColumn("n"), False, True)), True),
        ("select=data->a,data->b,count()&order=data->b,data->c",
         (OrderTerm(GroupColumn("b")), OrderTerm(ColumnRef("data", None, (key("c"),))), OrderTerm(GroupColumn("a"))),
         True),
        ("select=id,...client(count())", (OrderTerm(GroupColumn("id")),), True),
        ("select=count(),...client(c:name)&order=client(name).desc", (OrderTerm(GroupColumn("c"), True),), True),
        ("select=client(name),count()", (OrderTerm(GroupColumn("client")),), True),
    ],
)  # fmt: skip
def test_orders(query: str, order: tuple[OrderTerm, ...], can_continue: bool) -> None:
    query_ = parsed(query)
    assert query_.plan.order == order
    assert query_.can_continue is can_continue


def test_no_cursor_leads_through_rows_without_a_key() -> None:
    keyless = replace(ORDERS, key=())
    assert not parse_query(CATALOG, keyless, b"order=amount", BOUNDS).can_continue
    with pytest.raises(RowhouseError, match="No cursor"):
        parse_query(CATALOG, keyless, b"cursor=" + cursor.encode("", b"[]", 1).encode(), BOUNDS)


@pytest.mark.parametrize(
    ("made_for", "used_for", "is_refused"),
    [
        ("select=amount,count()", "select=amount,id.count()", True),
        ("select=amount,count()", "select=amount,data,count()", True),
        ("select=id,client()&order=client(name)", "select=client()&order=client(name)", True),
        ("select=id&order=amount", "select=data&order=amount", False),
    ],
)
def test_a_cursor_belongs_to_what_groups_and_orders(made_for: str, used_for: str, is_refused: bool) -> None:
    made = parsed(made_for)
    token = cursor.encode(made.bound_to, orjson.dumps(["1"] * len(made.plan.order)), 1)
    if not is_refused:
        assert parsed(f"{used_for}&cursor={token}").plan.after is not None
        return
    with pytest.raises(InvalidQuery, match="another sort or filter"):
        parsed(f"{used_for}&cursor={token}")


def test_what_is_asked_of_embedded_tables() -> None:
    plan = parsed(
        "select=id,c:clients(id,name),items(price)&c.name=eq.a&c.not.or=(id.eq.1,id.eq.2)"
        "&items.order=price.desc&items.limit=3&items.offset=4"
    ).plan
    client, items = (item.plan for item in plan.embeds)
    assert client.where == And((compared("name", EQ), Not(Or((ID, ID)))))
    assert items.order == (OrderTerm(ColumnRef("price"), True), BY_ID)
    assert (items.limit, items.offset) == (Bind("3"), Bind("4"))
    assert plan.embeds[1].at_most is None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("clients=is.null", Not(HasEmbedded("clients"))),
        ("clients=not.is.null", HasEmbedded("clients")),
        ("clients=is.not_null", HasEmbedded("clients")),
        ("or=(clients.not.is.null,id.eq.1)", Or((HasEmbedded("clients"), ID))),
        ("not.and=(clients.is.null)", Not(And((Not(HasEmbedded("clients")),)))),
    ],
)
def test_whether_there_are_embedded_rows(query: str, expected: Predicate) -> None:
    assert parsed(f"select=id,clients()&{query}").plan.where == expected


def test_having() -> None:
    plan = parsed("select=id,count()&having=(amount.sum().gt.10,or(count().gte.2,amount::int.avg().not.is.null))").plan
    average = Aggregated(Aggregate.AVG, ColumnRef("amount", "int"))
    assert plan.having == And((
        Comparison(Aggregated(SUM, ColumnRef("amount")), GT, Bind("")),
        Or((
            Comparison(Aggregated(Aggregate.COUNT), Operator.GTE, Bind("")),
            Not(Comparison(average, Operator.IS, constant=IsValue.NULL)),
        )),
    ))  # fmt: skip
    assert plan.where is None


def test_columns_of_a_write() -> None:
    query = parsed('columns=id, "a b",id&on_conflict=client_id')
    assert (query.columns, query.on_conflict) == (("id", "a b"), ("client_id",))
    assert (parsed("").columns, parsed("").on_conflict) == (None, None)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("nope=eq.1", "42703"),
        ("id=nope.1", "PGRST100"),
        ("id=neq(any).{1}", "PGRST100"),
        ("id=is.maybe", "PGRST100"),
        ("id=is.nullx", "PGRST100"),
        ("id=fts().x", "PGRST100"),
        ("id=in.(a", "PGRST100"),
        ("or=(id.eq.1", "PGRST100"),
        ("or=()", "PGRST100"),
        ("or=(and(and(and(and(id.eq.1)))))", "limit_exceeded"),
        ("select=client(client(a))", "PGRST200"),
        ("select=client(client(a(b(c(d)))))", "limit_exceeded"),
        ("select=id::text;", "PGRST100"),
        ("select=id::\"x\"", "PGRST100"),
        ("select=id::a.b.c", "PGRST100"),
        (f"select=id::{'x' * 64}", "PGRST100"),
        ("select=id,id:amount", "PGRST100"),
        ("select=id,...client(id)", "PGRST100"),
        ("select=client(id),client(id)", "PGRST100"),
        ("select=data->a->-x", "PGRST100"),
        ("select=data->99999999999", "PGRST100"),
        ("select=nope.sum()", "42703"),
        ("select=_etag.max()", "42703"),
        ("select=id.median()", "PGRST100"),
        ("order=id.ac", "PGRST100"),
        ("order=id.descc", "PGRST100"),
        ("order=nope(id)", "PGRST108"),
        ("order=amount.sum()", "PGRST100"),
        ("select=items(id)&order=items(id)", "PGRST118"),
        ("select=client(id)&order=client(id,name)", "PGRST100"),
        ("having=(count().gt.1)", "PGRST100"),
        ("select=count()&having=(id.gt.1)", "PGRST100"),
        ("client.id=eq.1", "PGRST108"),
        ("select=client(id)&client=eq.1", "PGRST120"),
        ("select=client(id)&client=is.true", "PGRST120"),
        ("limit=-1", "PGRST103"),
        ("limit=x", "PGRST100"),
        ("columns=nope", "PGRST204"),
        ("on_conflict=nope", "42703"),
    ],
)  # fmt: skip
def test_what_the_language_does_not_have_is_refused(query: str, code: str) -> None:
    with pytest.raises(RowhouseError) as caught:
        parsed(query)
    assert caught.value.stable_code == code


@pytest.mark.parametrize("count", [None, Count.EXACT])
@pytest.mark.parametrize(
    "query",
    [
        *(item[0] for item in FILTERS),
        *(f"select={item[0]}" for item in SELECTS),
        "select=id,count()&having=(count().gt.1)&id=gt.5",
        "select=id,client()&client=is.null&order=client(name)&id=eq.1",
        "columns=id&on_conflict=id&id=eq.1",
    ],
)
def test_a_cached_query_is_as_one_parsed_anew(query: str, count: Count | None) -> None:
    queries = QueryCache(BOUNDS)
    for text in (query, query, "id=eq.2&" + query, "id=eq.3&" + query):
        cached = queries.page(CATALOG, ORDERS, text.encode(), count=count)
        anew = parse_query(CATALOG, ORDERS, text.encode(), BOUNDS)
        assert cached == replace(anew, plan=replace(anew.plan, count=count))
        assert [bind.value for bind in binds(cached.plan)] == [bind.value for bind in binds(anew.plan)]


def test_values_alone_share_a_shape() -> None:
    queries = QueryCache(BOUNDS)
    for name, value in (("data->a", "eq.1"), ("data->b", "eq.2"), ("data->a", "eq.3"), ("data->a", "cs.{1}")):
        plan = queries.page(CATALOG, ORDERS, f"{name}={value}".encode()).plan
        assert [bind.value for bind in binds(plan)] == [name[-1], value.partition(".")[2], "100"]


def test_two_tables_may_be_spread_that_have_one_name() -> None:
    plan = parsed("select=id,...clients!client_id(a:name),...clients!client(b:name)").plan
    assert [item.alias for item in plan.embeds] == ["clients", "clients!client"]


def test_a_computed_column_filters_a_read_and_no_grant() -> None:
    assert parsed("full=eq.x").plan.where == compared("full", EQ)
    with pytest.raises(UnknownColumn):
        parse_filter(ORDERS, "full=eq.x", 4)


@pytest.mark.parametrize("cast", ["regclass", "pg_catalog.regrole", "orders", "rowhouse.api_keys", "unknown", "record"])
def test_a_cast_shows_no_name_that_may_be_hidden(cast: str) -> None:
    with pytest.raises(InvalidQuery):
        parsed(f"select=id::{cast}")
