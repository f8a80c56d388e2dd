"""The measurements of cost: their names, units and which way is better."""

from typing import NamedTuple


class Column(NamedTuple):
    """``key`` is a field of the record's efficiency, or a figure that a row derives."""

    key: str
    title: str
    unit: str
    less: bool
    """Less is better."""
    by_length: bool = False
    brief: str = ""
    """A narrow title for the terminal."""
    help: str = ""
    """What it is, in one sentence."""

    @property
    def below(self) -> str:
        """The unit, where the terminal puts it into the title."""
        return "ms" if self.unit == "ms" else ""


COLUMNS = (
    Column(
        "params",
        "parameters",
        "",
        True,
        brief="params",
        help="Trainable numbers of the whole model.",
    ),
    Column(
        "flops_per_token",
        "FLOPs/token",
        "",
        True,
        brief="FLOPs/tok",
        help="Floating point operations of a forward pass per token at the task's length.",
    ),
    Column(
        "train_tokens_per_s",
        "train tokens/s",
        "",
        False,
        brief="tok/s",
        help="Tokens a second in training, median over the seeds.",
    ),
    Column(
        "peak_memory_bytes",
        "peak memory",
        "B",
        True,
        brief="memory",
        help="The most memory that training held at once.",
    ),
    Column(
        "forward_ms",
        "forward",
        "ms",
        True,
        by_length=True,
        brief="forward",
        help="A forward pass at the longest length that every row measured.",
    ),
    Column(
        "decode_ms_per_token",
        "decode per token",
        "ms",
        True,
        brief="decode",
        help="One more token, with the state of those before it.",
    ),
    Column(
        "state_bytes",
        "state",
        "B",
        True,
        by_length=True,
        brief="state",
        help="What decoding carries from token to token, at the longest length that all measured.",
    ),
    Column(
        "time_exponent",
        "time exponent",
        "",
        True,
        brief="exponent",
        help="p of overhead + c · length^p, fitted to this row's own forward passes.",
    ),
    Column(
        "lr_window",
        "learning-rate window",
        "decades",
        False,
        brief="lr window",
        help="Decades of learning rate around the chosen one that validate within 5 % of the best.",
    ),
)
