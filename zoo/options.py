"""Options are the keyword-only arguments of a constructor: their names, types, bounds, defaults."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from zoo.errors import ZooError, nearest

GIVEN: Mapping[str, frozenset[str]] = {
    "mixer": frozenset({"dim", "causal", "position", "layer", "depth", "max_length"}),
    "position": frozenset({"dim", "heads", "max_length"}),
    "channel": frozenset({"dim", "layer", "depth"}),
    "block": frozenset({"mixer", "channel", "dim", "layer", "depth"}),
    "task": frozenset({"budget"}),
}
"""What the core gives to a constructor that names it; everything else is an option."""


def options(build: Callable[..., Any], kind: str) -> dict[str, tuple[Any, Any]]:
    """Name -> (annotation, default) of every option; ``inspect.Parameter.empty`` if none."""
    source: Any = build.__init__ if isinstance(build, type) else build  # type: ignore[misc]
    hints = get_type_hints(source, include_extras=True)
    return {
        name: (hints.get(name, Any), parameter.default)
        for name, parameter in inspect.signature(build).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name not in GIVEN[kind]
    }


def given(build: Callable[..., Any], **context: Any) -> dict[str, Any]:
    """The part of ``context`` that the constructor names."""
    named = inspect.signature(build).parameters
    return {name: value for name, value in context.items() if name in named}


def check(key: str, annotation: Any, value: Any) -> Any:
    """``value`` as its annotation wants it, as JSON; raises ZooError naming key, value and rule."""
    if isinstance(value, str) and "${" in value:
        raise ZooError(f"{key}={value}: interpolations are not supported; write the value itself")
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
