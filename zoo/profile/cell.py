"""One cell of a profile as it is measured: its worker, its point, what it is spared, and why."""

from collections.abc import Mapping
from math import log
from statistics import quantiles
from typing import Any

from zoo import memory
from zoo.profile.process import Missed, Process
from zoo.profile.record import Miss, Point, Profile, Timing

FIELDS: Mapping[str, tuple[str, ...]] = {
    "forward": ("forward_ms", "forward_bytes", "joules"),
    "train": ("train_ms", "train_bytes"),
    "prefill": ("prefill_ms", "state_bytes", "decode_ms"),
    "decode": ("decode_ms",),
    "count": ("flops_counted", "moved_bytes", "least_bytes"),
    "energy": ("joules",),
}
"""Quantity -> the fields of a point that are lost with it, the one that times it first."""
TIMED = ("forward", "train", "prefill", "decode")
FOLLOWS = {"forward": ("energy",), "prefill": ("decode",)}
"""Quantity -> those that cannot be had without it."""
STEEP = {"l": 1.0, "l log l": 1.2, "l sqrt l": 1.5, "l^2": 2.0, None: 1.0}
STEEPEST = 2.2
"""No mixer grows faster; what seems to has met another's noise."""
START = 300.0
"""Seconds that a worker may take to import, build and compile."""
SHARE = 0.8
"""Of the memory that is available, what the worker whose turn it is may take."""


class Cell:
    """Measures ``profile`` further, one length at a time."""

    def __init__(
        self,
        profile: Profile,
        config: Mapping[str, Any],
        *,
        session: str,
        longest: int,
        limit: float,
    ) -> None:
        self.profile, self.config, self.session = profile, config, session
        self.longest, self.limit = longest, limit
        self.gone: dict[str, Miss] = {}
        """Quantities that are not tried any more."""
        self.past: dict[str, list[tuple[int, float]]] = {name: [] for name in FIELDS}
        """(length, seconds) of one call."""
        self.process: Process | None = None
        for point in profile.points:
            self._recall(point)

    def _recall(self, point: Point) -> None:
        """What an earlier call has measured counts as if this one had."""
        for name, fields in FIELDS.items():
            timing = getattr(point, fields[0])
            if isinstance(timing, Timing):
                self.past[name].append((point.length, timing.low / 1e3))
            miss = point.missing.get(fields[0])
            if miss is not None and miss.kind != "untold":
                self.gone.setdefault(name, later(miss, point.length))

    def begin(self, length: int) -> None:
        """A worker starts on a length, in the background; `ready` waits for it."""
        self.length = length
        self.facts: dict[str, Any] = {}
        self.missing: dict[str, Miss] = {}
        self.seconds: dict[str, list[float]] = {name: [] for name in TIMED}
        self.last: dict[str, float] = {}
        for name in FIELDS:
            ahead = self.predict(name)
            if name not in self.gone and ahead > self.limit:
                reason = (
                    f"a call would take about {ahead:.0f} s at {length:,} (limit={self.limit:g})"
                )
                self.lose(name, Miss(kind="slow", reason=reason))
        for name, miss in self.gone.items():
            self._note(name, miss)
        lost = [self.gone.get(name) for name in FIELDS]
        if lost[0] is None or any(miss != lost[0] for miss in lost):
            self._start()  # also where only closed forms are left to tell

    def _start(self) -> None:
        self.stop()
        self.process, self.reached = Process(), False
        size = {"batch": self.profile.batch, "length": self.length, "longest": self.longest}
        self.process.send({"do": "build", "config": self.config, **size, **self._bound()})

    def _bound(self) -> dict[str, int]:
        """What a request may take of memory, where a worker can be held to it."""
        free = memory.available() if self.config["device"] == "cpu" else None
        return {} if free is None else {"allowance": int(SHARE * free)}

    def predict(self, name: str) -> float:
        """Seconds of one call at this length: as the last two grew, and at least as is claimed; 0
        where nothing is known.
        """
        past = self.past[name]
        if len(past) < (2 if name == "count" else 1):  # the first count also imports
            return 0.0
        length, seconds = past[-1]
        if name in ("decode", "count"):
            return seconds
        steep = STEEP[self.profile.complexity]
        if len(past) > 1 and past[-2][0] < length:
            grew = log(seconds / past[-2][1]) / log(length / past[-2][0])
            steep = max(steep, min(grew, STEEPEST))
        return float(seconds * (self.length / length) ** steep)

    def ready(self) -> None:
        """Wait for the worker; what cannot be built loses everything."""
        if self.process is None:
            return
        try:
            facts = self.process.answer(START)
        except Missed as error:
            for name in FIELDS:
                self.lose(name, error.miss)
            return
        self.know(params=facts.pop("params"))
        self.facts |= facts

    def lose(self, name: str, miss: Miss) -> None:
        """A quantity is missed here, and is not tried at longer lengths."""
        again = later(miss, self.length)
        self._note(name, miss)
        self.gone.setdefault(name, again)
        for other in FOLLOWS.get(name, ()):
            self.gone.setdefault(other, again)
        if name == "forward" and miss.kind == "oom" and "train" not in self.gone:
            self.lose("train", miss)

    def _note(self, name: str, miss: Miss) -> None:
        for field in FIELDS[name]:
            if field not in self.facts:
                self.missing.setdefault(field, miss)

    def ask(self, name: str, request: Mapping[str, Any]) -> dict[str, Any] | None:
        """An answer on one quantity, or None: it is lost then. A worker that died is followed by
        another, which the other quantities still have.
        """
        if name in self.gone:
            return None
        try:
            if self.process is None or not self.process.alive:
                self._start()
                self.ready()
                if name in self.gone or self.process is None:
                    return None
            if name == "decode" and not self.reached:
                self.process.ask({"do": "reach", **self._bound()}, self._patience("prefill"))
                self.reached = True
            return self.process.ask({**request, **self._bound()}, self._patience(name))
        except Missed as error:
            self.lose(name, error.miss)
            return None

    def _patience(self, name: str) -> float:
        """Seconds that a request may take: a call or two, and what is around them."""
        steps = 16 if name == "decode" else 3
        return steps * max(self.limit, self.last.get(name, 0.0)) + 10

    def sizes(self) -> None:
        """What is measured once: memory, before anything was timed; the state; the counts."""
        for name in ("forward", "train"):
            if (found := self.ask(name, {"do": "memory", "what": name})) is not None:
                self._told(f"{name}_bytes", found["bytes"], found)
                self._first(name, found["seconds"])
                if name == "forward":
                    self.know(kernel=found["kernel"])
        if (found := self.ask("prefill", {"do": "reach"})) is not None:
            self.facts["state_bytes"] = found["bytes"]
            self.reached = True
            self._first("prefill", found["seconds"])
        if (found := self.ask("count", {"do": "count"})) is not None:
            self.past["count"].append((self.length, found.pop("seconds")))
            self.facts |= found

    def _first(self, name: str, seconds: float) -> None:
        """The first call was long enough to know that more would be too long?"""
        self.last[name] = seconds
        if seconds > self.limit:
            reason = f"a call took {seconds:.0f} s (limit={self.limit:g})"
            self.lose(name, Miss(kind="slow", reason=reason))

    def _told(self, field: str, value: float | None, answer: Mapping[str, Any]) -> None:
        """A figure that not every machine tells."""
        if value is None:
            self.missing[field] = Miss(kind="untold", reason=answer["untold"])
        else:
            self.facts[field] = value

    def turn(self, name: str) -> None:
        """One timed call; after three, no more than ``limit`` seconds of them."""
        mine = self.seconds[name]
        if len(mine) >= 3 and sum(mine) > self.limit:
            return
        found = self.ask(name, {"do": "time", "what": name, "last": self.last.get(name)})
        if found is not None:
            mine.append(found["seconds"])
            self.last[name] = found["seconds"]
            if name == "forward":
                self.know(kernel=found["kernel"])

    def end(self) -> None:
        """The last figures; the worker goes, the point is part of the profile."""
        for name in TIMED:
            if self.seconds[name] and FIELDS[name][0] not in self.missing:
                self.facts[FIELDS[name][0]] = timing(self.seconds[name])
                self.past[name].append((self.length, min(self.seconds[name])))
        if self.seconds["forward"]:
            last = self.last["forward"]
            if (found := self.ask("energy", {"do": "energy", "last": last})) is not None:
                self._told("joules", found["joules"], found)
        for field in ("flops", "state_closed_form"):
            if field not in self.facts and "count" in self.gone:  # it was never built
                self.missing.setdefault(field, self.gone["count"])
        self.stop()
        apart = None if self.session == self.profile.session else self.session
        point = Point(length=self.length, session=apart, missing=self.missing, **self.facts)
        points = [p for p in self.profile.points if p.length != self.length]
        self.know(points=sorted([*points, point], key=lambda p: p.length))

    def know(self, **facts: object) -> None:
        """Enter facts into the profile."""
        self.profile = self.profile.model_copy(update=facts)

    def stop(self) -> None:
        """No worker of this cell is left."""
        if self.process is not None:
            self.process.kill()
            self.process = None


def later(miss: Miss, length: int) -> Miss:
    """The reason at lengths beyond the one where it came up; a refusal is the same at all."""
    if miss.kind == "refused" or miss.reason.startswith("not tried"):
        return miss
    return Miss(kind=miss.kind, reason=f"not tried: at {length:,}, {miss.reason}")


def timing(seconds: list[float]) -> Timing:
    """Milliseconds; of fewer than two calls the quartiles are the one there is."""
    low, middle, high = (
        quantiles(seconds, n=4, method="inclusive") if len(seconds) > 1 else [seconds[0]] * 3
    )
    return Timing(median=1e3 * middle, low=1e3 * low, high=1e3 * high, n=len(seconds))
