"""What a claim looks like in findings.toml; a mistake in it is an error that names the claim."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictStr, ValidationError, model_validator

from zoo.errors import ZooError
from zoo_leaderboard.column import COLUMNS

Names = tuple[Annotated[StrictStr, Field(min_length=1)], ...]
DERIVED = frozenset({"time_exponent", "lr_window"})
"""Columns that no single run has: they have no spread over seeds to judge by."""
TIMINGS = ("forward_ms", "train_ms", "prefill_ms", "decode_ms")
EXACT = frozenset({"params", "flops_per_token", "state_bytes", "flops"})
"""Quantities that are counted, not sampled: equal in all seeds, they need no interval."""
PROFILED = (*TIMINGS, "state_bytes", "flops")


class Strict(BaseModel):
    """A key that nobody knows is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Rows(Strict):
    """Which rows: those that fit every filter that is given."""

    mixer: Names = ()
    family: Names = ()
    position: Names = ()
    options: Mapping[StrictStr, bool | int | float | str | None] = {}

    @model_validator(mode="after")
    def some(self) -> "Rows":
        """All rows at once make no claim."""
        if not (self.mixer or self.family or self.position or self.options):
            raise ValueError("name the rows by mixer, family, position or options")
        return self


class Quantity(Strict):
    """What is compared."""

    of: Literal["score", "score_at", "cost", "profile"] = "score"
    times: Annotated[float, Field(gt=0)] | None = None
    """score_at: the length, as a multiple of the longest that training showed."""
    name: str | None = None
    """cost: a column of the table; profile: a field of a profile's points."""
    length: Annotated[int, Field(ge=1)] | None = None
    """profile: only lengths from here on count, the longest that both have."""

    @model_validator(mode="after")
    def whole(self) -> "Quantity":
        """Each kind has what it needs and nothing else."""
        wanted = {"score": set(), "score_at": {"times"}, "cost": {"name"}}.get(
            self.of, {"name", "length"}
        )
        given = {key for key in ("times", "name", "length") if getattr(self, key) is not None}
        if given != wanted:
            raise ValueError(f"of={self.of} takes {sorted(wanted)}, not {sorted(given)}")
        known = {c.key for c in COLUMNS} - DERIVED if self.of == "cost" else set(PROFILED)
        if self.name is not None and self.name not in known:
            raise ValueError(f"nothing is named {self.name!r}; there is {', '.join(sorted(known))}")
        return self


class Test(Strict):
    """``a`` against ``b``, or ``a`` alone against a number.

    ``difference`` is how much better ``a`` is, in the metric's own direction, of a cost a - b;
    ``ratio`` is a / b; ``value`` is that of ``a``. ``needs`` says whether every comparison must
    support the claim.
    """

    tasks: Names = ()
    protocols: Names = ()
    budgets: Names = ()
    a: Rows
    b: Rows | None = None
    quantity: Quantity = Quantity()
    measure: Literal["difference", "ratio", "value"] = "difference"
    at_least: float | None = None
    at_most: float | None = None
    needs: Literal["every", "any"] = "every"
    least_seeds: Annotated[int, Field(ge=3)] = 3

    @model_validator(mode="after")
    def sound(self) -> "Test":
        """One bound, a second side where there are two, tasks where there are tracks."""
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("give at_least or at_most, one of them")
        if (self.measure == "value") != (self.b is None):
            raise ValueError("a value is of `a` alone; a difference or ratio needs `b`")
        if self.measure == "ratio" and self.bound <= 0:
            raise ValueError("a ratio is bounded by a number above 0")
        profiled = self.quantity.of == "profile"
        if profiled == bool(self.tasks):
            raise ValueError("name tasks, unless the quantity is of a profile")
        if profiled and self.measure != "ratio":
            raise ValueError("profiles are compared by their ratio")
        return self

    @property
    def bound(self) -> float:
        """The number that decides."""
        bound = self.at_least if self.at_least is not None else self.at_most
        assert bound is not None
        return bound


class Finding(Strict):
    """A published claim in our words, and how to test it."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    claim: str
    source: str
    test: Test
    command: str
    """What would settle it."""
    missing: str = ""
    """What the zoo lacks for the command to run; empty where it runs today."""


@cache
def findings() -> tuple[Finding, ...]:
    """Every claim of findings.toml."""
    place = files("zoo_leaderboard.findings") / "findings.toml"
    return parse(place.read_text(encoding="utf-8"))


def parse(text: str) -> tuple[Finding, ...]:
    """Raises ZooError that names the claim and what is wrong with it."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ZooError(f"findings.toml: {error}") from error
    strange = sorted(content.keys() - {"finding"})
    if strange:
        raise ZooError(f"findings.toml: {', '.join(strange)}: write [[finding]]")
    found = tuple(one(raw, i) for i, raw in enumerate(content.get("finding", []), start=1))
    twice = {f.id for f in found if sum(f.id == g.id for g in found) > 1}
    if twice:
        raise ZooError(f"findings.toml: {', '.join(sorted(twice))}: an id is given twice")
    return found


def one(raw: Any, place: int) -> Finding:
    """One claim."""
    from zoo_leaderboard.published.load import sources

    name = raw.get("id", f"number {place}") if isinstance(raw, dict) else f"number {place}"
    try:
        finding = Finding.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ZooError(f"finding {name}: {where}: {first['msg']}") from error
    if finding.source not in sources():
        raise ZooError(f"finding {name}: no source is named {finding.source!r} in sources.toml")
    return finding
