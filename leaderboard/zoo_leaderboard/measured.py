"""One figure of one run: its score, or a measurement of what it cost."""

from zoo.record import Metric, Record


def metric_of(record: Record) -> Metric | None:
    """The headline metric, if the run has it."""
    return record.metrics.get(record.headline)


def headline(record: Record) -> float | None:
    """The score that counts, of a run that ended well."""
    metric = metric_of(record)
    return metric.value if metric and record.status == "ok" else None


def measured(record: Record, name: str, length: int | None) -> float | None:
    """One measurement of one run; None when it was not taken."""
    cost = record.efficiency
    value: float | None
    if name == "flops_per_token":
        flops = cost.flops_per_token
        # A counter that skipped operators would flatter the mixer.
        value = flops.closed_form
        if value is None and not flops.uncounted:
            value = flops.counted
    elif name == "forward_ms":
        at = cost.forward_ms.get(length) if length is not None else None
        value = at.median if at else None
    elif name == "state_bytes":
        value = cost.state_bytes.get(length) if length is not None else None
    else:
        value = getattr(cost, name)
    try:
        return None if value is None else float(value)
    except OverflowError:  # an integer of 400 digits is no measurement
        return None
