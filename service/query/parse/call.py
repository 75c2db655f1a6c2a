"""Query strings of functions: which overload is meant, its arguments, and what is asked of its rows."""

import re
from collections.abc import Collection, Sequence
from functools import lru_cache

from sqlalchemy import MetaData, Table

from service.catalog.catalog import Catalog, nearest
from service.catalog.function import Function
from service.catalog.resource import Resource
from service.core.errors import AmbiguousRelation, TableNotFound
from service.query.parse.parameters import Bounds, Parameters, is_reserved
from service.query.parse.request import Query, parse_parameters
from service.query.plan import Bind, BindKind, Operator

Arguments = tuple[tuple[str, Bind], ...]

_FILTER = re.compile(rf"not\.|(?:{'|'.join(Operator)})(?:\.|\()")
_MOST_KEPT = 256


def argument_names(functions: Sequence[Function], parameters: Parameters) -> tuple[str, ...]:
    """The parameters that are arguments: of a name that one of the overloads has, or unlike any filter."""
    known = {parameter.name for function in functions for parameter in function.parameters}
    names = (name for name, text in parameters if name in known or not _is_of_the_language(name, text))
    return tuple(dict.fromkeys(names))


def choose_overload(
    functions: Sequence[Function], names: Collection[str], body_types: Collection[str] = ()
) -> Function:
    """The one of the functions of a name that takes these arguments, as PostgREST chooses.

    Where none does, one whose only parameter has no name, and one of `body_types`, takes the body whole. It alone does
    where these are no JSON, which names no arguments.

    Raises:
        TableNotFound: PGRST202, none takes them.
        AmbiguousRelation: PGRST203, several do.
    """
    is_named = not body_types or "json" in body_types
    fitting = [function for function in functions if _fits(function, names)] if is_named else []
    if not fitting and body_types:
        fitting = [one for one in functions if one.takes_body and one.parameters[0].sql_type in body_types]
    if len(fitting) > 1:
        between = ", ".join(_signature(function) for function in fitting)
        raise AmbiguousRelation(
            f"Could not choose the best candidate function between: {between}",
            hint="Try renaming the parameters or the function itself in the database so function overloading can be "
            "resolved",
            code="PGRST203",
        )
    if not fitting:
        raise _no_function(functions, names, body_types)
    return fitting[0]


def parse_call(
    catalog: Catalog, function: Function, parameters: Parameters, bounds: Bounds, *, takes_arguments: bool = True
) -> tuple[Arguments, Query]:
    """The arguments in the order of the function's parameters, and what is asked of its rows.

    Where the body has the arguments, `takes_arguments` is False. Of what is no row, there is nothing to ask but how
    many: `select` and `order` are passed over.

    Raises:
        TableNotFound: PGRST202, a filter of what is no row, which counts as an argument that the function lacks.
        InvalidQuery: as `parse_query`.
    """
    known = {item.name for item in function.parameters if item.name} if takes_arguments else set()
    filters = _filters_named_alike(function, parameters) if takes_arguments else ()
    rest = tuple(item for item in parameters if item[0] not in known or item in filters)
    parameters = tuple(item for item in parameters if item not in filters)
    if function.result is not None:
        return _arguments(function, parameters, known), parse_parameters(catalog, function.result, rest, bounds)
    unknown = [name for name, _ in rest if not is_reserved(name)]
    if unknown and not takes_arguments:  # the body has them
        parse_parameters(catalog, scalar_result(function), rest, bounds)
    if unknown:
        raise _no_function([function], [name for name, _ in parameters if name in known or name in unknown])
    paging = tuple(item for item in rest if item[0] in ("limit", "offset"))
    return _arguments(function, parameters, known), parse_parameters(catalog, scalar_result(function), paging, bounds)


@lru_cache(_MOST_KEPT)
def scalar_result(function: Function) -> Resource:
    """A table without columns in place of what a function returns that is no row; one for each function."""
    return Resource.build(function.name, Table(function.name, MetaData()), (), ())


def _is_of_the_language(name: str, text: str) -> bool:
    return is_reserved(name) or "." in name or _FILTER.match(text) is not None


def _filters_named_alike(function: Function, parameters: Parameters) -> Parameters:
    """Of an argument that is given several times: those that read like filters, where one of them does not."""
    alike: list[tuple[str, str]] = []
    for one in function.parameters:
        given = [item for item in parameters if item[0] == one.name]
        filters = [item for item in given if _FILTER.match(item[1])]
        if not one.is_variadic and 0 < len(filters) < len(given):
            alike += filters
    return tuple(alike)


def given_by_name(function: Function, parameters: Parameters) -> Arguments:
    """The arguments of a form. Of a name that comes twice the last value counts, but a variadic one takes them all."""
    return _arguments(function, parameters, {item.name for item in function.parameters})


def _arguments(function: Function, parameters: Parameters, known: Collection[str]) -> Arguments:
    """Of an argument that is given twice the last value counts, but a variadic one takes them all."""
    given: dict[str, list[str]] = {}
    for name, text in parameters:
        if name in known:
            given.setdefault(name, []).append(text)
    return tuple(
        (item.name, Bind(given[item.name], BindKind.LIST) if item.is_variadic else Bind(given[item.name][-1]))
        for item in function.parameters
        if item.name in given
    )


def _fits(function: Function, names: Collection[str]) -> bool:
    given = set(names)
    required = {item.name for item in function.parameters if item.is_required}
    return "" not in required and required <= given <= {item.name for item in function.parameters}


def _no_function(
    functions: Sequence[Function], names: Collection[str], body_types: Collection[str] = ()
) -> TableNotFound:
    called = f"{functions[0].schema}.{functions[0].sql_name}"
    nearest = max(functions, key=lambda item: len({parameter.name for parameter in item.parameters} & set(names)))
    parameters = ", ".join(item.name for item in nearest.parameters)
    hint = f"Perhaps you meant to call the function {called}" + (f"({parameters})" if parameters else "")
    return _not_found(called, names, body_types, hint)


def no_function(
    catalog: Catalog, schema: str, name: str, names: Collection[str], body_types: Collection[str] = ()
) -> TableNotFound:
    """PGRST202 for a name that no function of the schema has, with the nearest one."""
    called = f"{schema}.{name}"
    known = {item.sql_name for item in catalog.all_functions() if item.schema == schema}
    near = nearest(name, known)
    return _not_found(
        called, names, body_types, f"Perhaps you meant to call the function {schema}.{near}" if near else None
    )


def _not_found(called: str, names: Collection[str], body_types: Collection[str], hint: str | None) -> TableNotFound:
    """PGRST202, as PostgREST words it for arguments by name and for a body that is one."""
    with_body = f"with a single unnamed {'/'.join(body_types)} parameter"
    listed = ", ".join(sorted(names))
    if body_types and "json" not in body_types:
        written, searched = "", f" {with_body}"
    elif names:
        written, searched = f"({listed})", f" with parameter{'s' if len(names) > 1 else ''} {listed}"
    else:
        written = searched = " without parameters"
    if "json" in body_types:
        searched += f" or {with_body}"
    return TableNotFound(
        f"Could not find the function {called}{written} in the schema cache",
        details=f"Searched for the function {called}{searched}, but no matches were found in the schema cache.",
        hint=hint,
        code="PGRST202",
    )


def _signature(function: Function) -> str:
    parameters = ", ".join(f"{item.name} => {item.sql_type}" for item in function.parameters)
    return f"{function.schema}.{function.sql_name}({parameters})"
