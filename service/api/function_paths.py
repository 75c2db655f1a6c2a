"""Functions as OpenAPI describes them: a path a name, whatever overloads it has."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from service.api.bodies import FORM, JSON, row_answer, rows_answer
from service.api.responses import answer, problems
from service.api.shared_parameters import parameters, query_parameter
from service.api.table_parameters import component_name
from service.api.v1.paths import PREFIX
from service.catalog.function import Function, Parameter, Volatility
from service.core.settings import ApiSettings
from service.schemas.document import row_schema
from service.schemas.examples import type_example
from service.schemas.types import parameter_schema

JsonObject = dict[str, Any]

TAG = "Functions"
_OF_ALL = (300, 400, 401, 403, 404, 405, 406, 409, 414, 416, 422, 429, 503)
_OF_BODIES = (413, 415)
_WHOLE = {"text": "text/plain", "xml": "text/xml", "bytea": "application/octet-stream"}
_OF_ROWS = ("select", "order", "limit", "offset", "and", "or")


def is_callable(function: Function) -> bool:
    """Whether a request can give all that the function must have: an argument without a name only as the whole body."""
    return function.takes_body or all(item.name or not item.is_required for item in function.parameters)


class FunctionDescription:
    """All that a document says of the functions of one name. `overloads`: at least one, each callable."""

    def __init__(self, overloads: Sequence[Function], settings: ApiSettings, *, has_profiles: bool = False) -> None:
        self._overloads = overloads
        self._settings = settings
        self._has_profiles = has_profiles
        self._name = component_name(overloads[0].name)

    @property
    def paths(self) -> JsonObject:
        """One path: GET for what cannot write and takes named arguments, POST for all."""
        read = [item for item in self._overloads if item.volatility is not Volatility.VOLATILE and not item.takes_body]
        of_get = {"get": self._get(read)} if read else {}
        return {f"{PREFIX}rpc/{quote(self._overloads[0].name, safe='')}": of_get | {"post": self._post()}}

    @property
    def schemas(self) -> JsonObject:
        """Arguments and rows of each overload, by the name in `components`."""
        schemas: JsonObject = {}
        for number, function in enumerate(self._overloads):
            schemas[f"{self._name}.call{number}"] = _arguments(function)
            if function.result is not None:
                schemas[f"{self._name}.result{number}"] = row_schema(function.result)
        return schemas

    def _get(self, functions: Sequence[Function]) -> JsonObject:
        """The arguments of all overloads, of which those are required that all of them require."""
        named: dict[str, list[Parameter]] = {}
        for function in functions:
            for item in function.parameters:
                if item.name:
                    named.setdefault(item.name, []).append(item)
        taken = [_query_argument(name, items, len(functions)) for name, items in named.items()]
        return self._operation("query", "Read from", functions, taken, "Accept-Profile")

    def _post(self) -> JsonObject:
        operation = self._operation("call", "Call", self._overloads, [], "Content-Profile")
        failed = problems(*_OF_BODIES)
        operation["responses"] = dict(sorted((operation["responses"] | failed).items()))
        return operation | {"requestBody": self._body()}

    def _body(self) -> JsonObject:
        named = [self._ref("call", item) for item in self._overloads if not item.takes_body]
        # Whole bodies that are JSON may be anything, and with them the body as such.
        takes_any = any(item.takes_body and item.parameters[0].sql_type not in _WHOLE for item in self._overloads)
        content: JsonObject = {}
        if takes_any:
            content[JSON] = {"schema": {}, "example": {"a": 1}}
        elif named:
            content[JSON] = {"schema": _one_of(named)}
        if named:
            content[FORM] = {"schema": _one_of(named)}
        for item in self._overloads:
            if item.takes_body and item.parameters[0].sql_type in _WHOLE:
                content[_WHOLE[item.parameters[0].sql_type]] = {"schema": {"type": "string"}}
        is_required = not any(_needs_nothing(item) for item in self._overloads)
        return {"required": is_required, "content": content}

    def _operation(
        self, verb: str, summary: str, functions: Sequence[Function], taken: list[JsonObject], profile: str
    ) -> JsonObject:
        own = {item["name"] for item in taken}
        words = _OF_ROWS if any(item.result is not None for item in functions) else ()
        shared = [*(word for word in words if word not in own), "PreferCall"]
        shared += [profile] if self._has_profiles else []
        return {
            "tags": [TAG],
            "operationId": f"{verb}_{self._name}",
            "summary": f"{summary} {functions[0].name}",
            "description": "\n\n".join(_described(item) for item in functions),
            "parameters": [*taken, *parameters(*shared)],
            "responses": dict(sorted((self._answers(functions) | problems(*_OF_ALL)).items())),
        }

    def _answers(self, functions: Sequence[Function]) -> JsonObject:
        answers: JsonObject = {}
        returning = [item for item in functions if not item.is_void]
        if len(returning) < len(functions):
            answers["204"] = answer("Called")
        if returning:
            answers["200"] = self._result(returning)
        if any(item.result is not None for item in returning):
            answers["206"] = answers["200"]
        return answers

    def _result(self, functions: Sequence[Function]) -> JsonObject:
        only = functions[0]
        if len(functions) == 1 and only.result is not None and only.is_set:
            return rows_answer("The rows.", self._ref("result", only), "Content-Range", "Preference-Applied")
        schemas = [self._value(item) for item in functions]
        described = row_answer("What it returns.", _any_of(schemas), "Content-Range", "Preference-Applied")
        if any(item.result is None for item in functions):
            described["content"]["text/plain"] = {"schema": {"type": "string"}}
        return described

    def _value(self, function: Function) -> JsonObject:
        if function.result is None:
            one = parameter_schema(function.result_type)
        else:
            one = _any_of([self._ref("result", function), {"type": "null"}])
        return {"type": "array", "items": one} if function.is_set else one

    def _ref(self, kind: str, function: Function) -> JsonObject:
        return {"$ref": f"#/components/schemas/{self._name}.{kind}{self._overloads.index(function)}"}


def _arguments(function: Function) -> JsonObject:
    named = [item for item in function.parameters if item.name]
    required = [item.name for item in named if item.is_required]
    return {
        "type": "object",
        "title": _signature(function),
        "properties": {item.name: parameter_schema(item.sql_type) for item in named},
        "additionalProperties": False,
        "examples": [{item.name: type_example(item.sql_type) for item in named if item.is_required}],
    } | ({"required": required} if required else {})


def _query_argument(name: str, items: Sequence[Parameter], overloads: int) -> JsonObject:
    """An argument in the query string, as PostgreSQL reads its text: an array is `{1,2}`."""
    types = list(dict.fromkeys(item.sql_type for item in items))
    plain = [{"type": "string"} if kind.endswith("[]") else _not_null(parameter_schema(kind)) for kind in types]
    text = f"Argument ({', '.join(types)})."
    if items[0].is_variadic:
        text = f"Argument ({types[0].removesuffix('[]')}), once for each value."
        plain = [{"type": "array", "items": _not_null(parameter_schema(types[0].removesuffix("[]")))}]
    is_required = len(items) == overloads and all(item.is_required for item in items)
    return query_parameter(name, text, _any_of(plain)) | {"required": is_required}


def _not_null(schema: JsonObject) -> JsonObject:
    return schema | {"type": schema["type"][0]} if "type" in schema else schema


def _described(function: Function) -> str:
    said = [f"`{_signature(function)}`"]
    if function.comment:
        said.append(function.comment.rstrip(".") + ".")
    if function.volatility is not Volatility.VOLATILE:
        said.append("It cannot write.")
    return " ".join(said)


def _signature(function: Function) -> str:
    given = ", ".join(_written(item) for item in function.parameters)
    many = "setof " if function.is_set else ""
    return f"{function.name}({given}) returns {many}{function.result_type}"


def _written(item: Parameter) -> str:
    words = ["variadic" if item.is_variadic else "", item.name, item.sql_type, "" if item.is_required else "= …"]
    return " ".join(word for word in words if word)


def _needs_nothing(function: Function) -> bool:
    return not function.takes_body and not any(item.is_required for item in function.parameters)


def _one_of(schemas: list[JsonObject]) -> JsonObject:
    return schemas[0] if len(schemas) == 1 else {"oneOf": schemas}


def _any_of(schemas: list[JsonObject]) -> JsonObject:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
