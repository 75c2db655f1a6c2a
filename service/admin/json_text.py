"""JSON as it was typed in."""

import json
from typing import NoReturn

import orjson

from service.core.errors import FieldError, InvalidBody


def json_body(name: str, text: str) -> orjson.Fragment:
    """The JSON of a field, as it was typed in: no number loses a digit.

    Raises:
        InvalidBody: it is none, or JSON's own null, which a body cannot tell from NULL.
    """
    try:
        value = json.loads(text, parse_constant=_refuse, parse_int=str, parse_float=str)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, character {error.colno}"
        raise _fault(name, f"is no JSON: {_words(error)} ({where}).") from None
    except RecursionError:
        raise _fault(name, "is nested too deeply.") from None
    except ValueError as error:
        raise _fault(name, str(error)) from None
    if value is None:
        raise _fault(name, "is JSON's null, which would be kept as NULL. Tick NULL if that is what you mean.")
    return orjson.Fragment(text)


def _words(error: json.JSONDecodeError) -> str:
    if error.msg == "Extra data":
        return "there is something behind its end"
    return error.msg[:1].lower() + error.msg[1:]


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"is no JSON: it has no {name}.")


def _fault(name: str, message: str) -> InvalidBody:
    return InvalidBody("A field holds no JSON.", fields=[FieldError(name, message)])
