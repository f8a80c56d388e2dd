"""The measurements of cost: their names, units and which way is better."""

from typing import NamedTuple


class Column(NamedTuple):
    """``key`` is a field of the record's efficiency; ``less`` says that less is better."""

    key: str
    title: str
    unit: str
    less: bool
    by_length: bool = False
    brief: str = ""
    """A narrow title for the terminal."""

    @property
    def below(self) -> str:
        """The unit, where the terminal puts it into the title."""
        return "ms" if self.unit == "ms" else ""


COLUMNS = (
    Column("params", "parameters", "", True, brief="params"),
    Column("train_tokens_per_s", "train tokens/s", "", False, brief="tok/s"),
    Column("peak_memory_bytes", "peak memory", "B", True, brief="memory"),
    Column("state_bytes", "state", "B", True, by_length=True, brief="state"),
    Column("decode_ms_per_token", "decode per token", "ms", True, brief="decode"),
    Column("forward_ms", "forward", "ms", True, by_length=True, brief="forward"),
    Column("flops_per_token", "FLOPs/token", "", True, brief="FLOPs/tok"),
)
