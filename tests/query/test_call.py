"""Calls of functions: which overload, which arguments, and what is asked of the rows."""

import pytest

from service.catalog.catalog import Catalog
from service.catalog.function import Function, Parameter, Volatility
from service.catalog.resource import Resource
from service.core.errors import RowhouseError
from service.query.parse.call import argument_names, choose_overload, parse_call, scalar_result
from service.query.parse.request import Bounds, decode_parameters
from service.query.plan import Bind, BindKind, ColumnRef, Comparison, Operator

BOUNDS = Bounds(max_rows=100, max_depth=4)


def function(*parameters: Parameter, result: Resource | None = None) -> Function:
    return Function("f", "api", "f", parameters, result, "integer", False, Volatility.STABLE, None)


A, B = Parameter("a", "integer"), Parameter("b", "text", is_required=False)
MANY = Parameter("many", "text[]", is_variadic=True)


def test_parameters_of_the_function_are_arguments_and_others_are_filters(catalog: Catalog) -> None:
    airlines = catalog.get("airlines")
    parameters = decode_parameters(b"b=eq.x&a=1&a=2&name=eq.y&many=p&many=q&select=name&limit=5")
    arguments, query = parse_call(catalog, function(A, B, MANY, result=airlines), parameters, BOUNDS)
    assert arguments == (("a", Bind("")), ("b", Bind("")), ("many", Bind([], BindKind.LIST)))
    assert [bind.value for _, bind in arguments] == ["2", "eq.x", ["p", "q"]]
    assert query.plan.resource is airlines
    assert query.plan.where == Comparison(ColumnRef("name"), Operator.EQ, Bind("y"))
    assert query.limit == 5


def test_with_a_body_every_parameter_is_a_filter(catalog: Catalog) -> None:
    named_alike = function(Parameter("name", "text"), result=catalog.get("airlines"))
    arguments, query = parse_call(catalog, named_alike, (("name", "eq.y"),), BOUNDS, takes_arguments=False)
    assert arguments == ()
    assert query.plan.where is not None


def test_a_scalar_has_no_filters(catalog: Catalog) -> None:
    scalar = function(A)
    arguments, query = parse_call(catalog, scalar, (("a", "1"), ("select", "x"), ("limit", "2")), BOUNDS)
    assert (len(arguments), query.limit) == (1, 2)
    assert query.plan.resource is scalar_result(scalar)
    assert not query.can_continue
    with pytest.raises(RowhouseError) as caught:
        parse_call(catalog, scalar, (("a", "1"), ("c", "eq.2")), BOUNDS)
    assert caught.value.message == "Could not find the function api.f(a, c) in the schema cache"


def test_arguments_are_told_from_filters() -> None:
    parameters = decode_parameters(b"a=eq.1&c=eq.1&d=1&e.f=1&select=g&x.limit=1&h=not.in.(1)&i=fts(english).x")
    assert argument_names([function(A)], parameters) == ("a", "d")


UNNAMED = function(Parameter("", "json"))
UNNAMED_TEXT = function(Parameter("", "text"))
JSON = ("json", "jsonb")


@pytest.mark.parametrize(
    ("functions", "names", "body_types", "chosen"),
    [
        ([function(), function(A)], [], (), 0),
        ([function(), function(A)], ["a"], (), 1),
        ([function(A, B), function(A, Parameter("c", "text"))], ["a"], (), 0),
        ([function(A, B), function(A, Parameter("c", "text"))], ["c", "a"], (), 1),
        ([function(A), UNNAMED], ["x"], JSON, 1),
        ([function(A), UNNAMED], ["a"], JSON, 0),
        ([function(), UNNAMED_TEXT, UNNAMED], [], ("text",), 1),
        ([function(A), UNNAMED_TEXT, UNNAMED], ["x"], JSON, 2),
    ],
)
def test_an_overload_is_chosen_by_the_names_given(
    functions: list[Function], names: list[str], body_types: tuple[str, ...], chosen: int
) -> None:
    assert choose_overload(functions, names, body_types) is functions[chosen]


@pytest.mark.parametrize(
    ("functions", "names", "code", "message"),
    [
        ([function(A), function(Parameter("a", "text"))], ["a"], "PGRST203",
         "Could not choose the best candidate function between: api.f(a => integer), api.f(a => text)"),
        ([function(A)], ["b", "a"], "PGRST202", "Could not find the function api.f(a, b) in the schema cache"),
        ([function(A)], [], "PGRST202", "Could not find the function api.f without parameters in the schema cache"),
        ([UNNAMED], ["x"], "PGRST202", "Could not find the function api.f(x) in the schema cache"),
    ],
)  # fmt: skip
def test_where_none_or_several_fit_it_is_said(
    functions: list[Function], names: list[str], code: str, message: str
) -> None:
    with pytest.raises(RowhouseError) as caught:
        choose_overload(functions, names)
    assert (caught.value.stable_code, caught.value.message) == (code, message)
