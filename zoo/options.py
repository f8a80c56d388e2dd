"""Options are the keyword-only arguments of a constructor: their names, types, bounds, defaults."""

import inspect
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from zoo.errors import ZooError, nearest

GIVEN: Mapping[str, frozenset[str]] = {
    "mixer": frozenset({"dim", "causal", "position", "layer", "depth", "max_length"}),
    "position": frozenset({"dim", "heads", "max_length", "causal"}),
    "channel": frozenset({"dim", "layer", "depth"}),
    "block": frozenset({"mixer", "channel", "dim", "layer", "depth"}),
    "task": frozenset({"budget"}),
}
"""What the core gives to a constructor that names it; everything else is an option."""


def options(build: Callable[..., Any], kind: str) -> dict[str, tuple[Any, Any]]:
    """Name -> (annotation, default) of every option; ``inspect.Parameter.empty`` if none."""
    source: Any = build.__init__ if isinstance(build, type) else build  # type: ignore[misc]
    try:
        hints = get_type_hints(source, include_extras=True)
    except NameError as error:
        raise ZooError(f"{source.__qualname__}: an annotation cannot be read: {error}") from error
    if "name" in inspect.signature(build).parameters:
        raise ZooError(f"{source.__qualname__}: no option can be called `name`; rename it")
    return {
        name: (hints.get(name, Any), parameter.default)
        for name, parameter in inspect.signature(build).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name not in GIVEN[kind]
    }


def given(build: Callable[..., Any], **context: Any) -> dict[str, Any]:
    """The part of ``context`` that the constructor names."""
    named = inspect.signature(build).parameters
    return {name: value for name, value in context.items() if name in named}


def defaults(build: Callable[..., Any], kind: str) -> dict[str, Any]:
    """The options that have a default, as JSON."""
    return {
        name: TypeAdapter(annotation).dump_python(default, mode="json")
        for name, (annotation, default) in options(build, kind).items()
        if default is not inspect.Parameter.empty
    }


def arguments(build: Callable[..., Any], kind: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a config entry as the constructor's annotations want them: paths, enums."""
    known = options(build, kind)
    return {
        name: TypeAdapter(known[name][0]).validate_python(value)
        for name, value in entry.items()
        if name != "name"
    }


def check(key: str, annotation: Any, value: Any) -> Any:
    """``value`` as its annotation wants it, as JSON; raises ZooError naming key, value and rule."""
    if isinstance(value, str) and "${" in value:
        raise ZooError(f"{key}={value}: interpolations are not supported; write the value itself")
    if isinstance(value, float) and not isfinite(value):
        raise ZooError(f"{key}={value}: should be a finite number")
    if get_origin(annotation) is Literal and str(value) in get_args(annotation):
        value = str(value)  # `precision=32` reads as a number
    adapter = TypeAdapter(annotation)
    try:
        return adapter.dump_python(adapter.validate_python(value), mode="json")
    except ValidationError as error:
        problem = error.errors()[0]["msg"].removeprefix("Input should be ")
        shown = "null" if value is None else value
        hint = suggestion(annotation, value)
        raise ZooError(f"{key}={shown}: should be {problem}{hint}") from None


def suggestion(annotation: Any, value: Any) -> str:
    """A did-you-mean for a misspelt Literal."""
    choices = [c for c in get_args(annotation) if isinstance(c, str)]
    if get_origin(annotation) is Literal and isinstance(value, str):
        near = nearest(value, choices)
        return f"; {near}" if near.startswith("did") else ""
    return ""
