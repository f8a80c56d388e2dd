"""`zoo run task=copy mixer=mamba` and friends. Nothing heavy is imported before it is needed."""

import io
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from zoo import registry
from zoo.errors import ZooError

Kind = Literal["mixers", "positions", "channels", "blocks", "tasks", "data"]


def main() -> None:
    """The `zoo` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that knows ASCII alone
    try:
        code = invoke(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # `zoo list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


def invoke(words: list[str]) -> int:
    """Run one command; returns the exit code. Errors are one line on stderr, no traceback."""
    try:
        shelves = registry.load()
        outcome = build(shelves)(words, prog_name="zoo", standalone_mode=False)
        return outcome if isinstance(outcome, int) else 0
    except ZooError as error:
        print(f"zoo: {error}", file=sys.stderr)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except typer.Exit as leave:
        return leave.exit_code
    except Exception as error:
        if not hasattr(error, "format_message"):  # click's usage errors know how to show themselves
            raise
        error.show()  # type: ignore[attr-defined]
        return 2


def build(shelves: registry.Registry) -> Any:
    """The core's commands, then those that plugins add."""
    app = typer.Typer(
        name="zoo",
        help="Sequence mixers compared at equal conditions.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"], "obj": shelves},
    )
    for function in (run, profile, list_, check, sample, new, plugins, doctor):
        app.command(function.__name__.rstrip("_"))(function)
    folder = typer.Typer(no_args_is_help=True, help="Data sets: what there is, fetch, verify.")
    folder.command("list")(data_list)
    folder.command("fetch")(data_fetch)
    folder.command("verify")(data_verify)
    app.add_typer(folder, name="data")
    for name, (plugin, item) in sorted(shelves.commands.items()):
        try:
            app.command(name)(registry.resolve(item, plugin))
        except ZooError as error:
            shelves.problems.append(registry.Problem(plugin, str(error)))
    return typer.main.get_command(app)


def run(
    context: typer.Context,
    words: Annotated[list[str], typer.Argument(metavar="key=value...", show_default=False)],
    multirun: Annotated[
        bool, typer.Option("-m", "--multirun", help="Run every combination of a=x,y values.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the config, the model's size and the run id.")
    ] = False,
) -> int:
    """Train a mixer on a task, measure it, write a record: zoo run task=lra mixer=mamba."""
    from zoo import commands

    return commands.run(context.obj, words, multirun=multirun, dry_run=dry_run)


def profile(
    context: typer.Context,
    words: Annotated[list[str], typer.Argument(metavar="key=value...", show_default=False)],
    multirun: Annotated[
        bool, typer.Option("-m", "--multirun", help="Every combination of a=x,y values.")
    ] = False,
    as_json: Annotated[Path | None, typer.Option("--json", help="Also into this file.")] = None,
    charts: Annotated[Path | None, typer.Option(help="SVG and PNG into this folder.")] = None,
) -> int:
    """Time, memory, state and FLOPs by length: zoo profile mixer=mamba length=256..65536."""
    from zoo.profile.command import profile as measure

    return tell(measure(context.obj, words, multirun=multirun, as_json=as_json, charts=charts))


def list_(
    context: typer.Context,
    kind: Annotated[Kind | None, typer.Argument(help="One shelf; all when left out.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> int:
    """What is installed, and who brought it; of mixers and positions, what they are."""
    shelves: registry.Registry = context.obj
    if kind in ("mixers", "positions"):
        from zoo import catalogue

        rows = catalogue.detail(shelves, kind)
        text = catalogue.table(rows)
    else:
        rows = shelved(shelves, kind)
        text = "\n".join(f"{row['kind']:9} {row['name']:20} {row['plugin']}" for row in rows)
    if as_json:
        problems = [problem._asdict() for problem in shelves.problems]
        print(json.dumps({"items": rows, "problems": problems}, indent=1))
        return 0
    print(text)
    complain(shelves)
    return 0


def shelved(shelves: registry.Registry, kind: Kind | None) -> list[dict[str, str]]:
    """Names and plugins of one shelf or all: nothing heavy is imported for these."""
    return [
        {"kind": shelf.kind, "name": name, "plugin": offer.plugin}
        for title, shelf in shelves.shelves.items()
        for name, offer in sorted(shelf.offers.items())
        if kind in (None, title)
    ]


def plugins(context: typer.Context) -> int:
    """The plugins found, what each brings, and those that do not work."""
    shelves: registry.Registry = context.obj
    for plugin, _ in sorted(shelves.plugins.list_name_plugin()):
        brought = [
            f"{shelf.kind} {name}"
            for shelf in shelves.shelves.values()
            for name, offer in sorted(shelf.offers.items())
            if offer.plugin == plugin
        ]
        brought += [f"command {n}" for n, offer in shelves.commands.items() if offer[0] == plugin]
        print(f"{plugin:28} {', '.join(brought) or 'nothing'}")
    complain(shelves)
    return 0


def complain(shelves: registry.Registry) -> None:
    """Broken and clashing plugins, on stderr."""
    for plugin, message in shelves.problems:
        print(f"zoo: plugin {plugin}: {message}", file=sys.stderr)


def check(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A mixer's name, or module:Class.")],
) -> int:
    """Does a mixer keep every promise? One line per promise, exit code 1 if one is broken."""
    from zoo import commands

    return commands.check(context.obj, name)


def sample(
    context: typer.Context,
    words: Annotated[list[str], typer.Argument(metavar="task=NAME [task.option=value...]")],
    count: Annotated[int, typer.Option("-n", min=1, help="How many examples.")] = 3,
    split: Annotated[Literal["train", "valid", "test"], typer.Option(help="From which.")] = "train",
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines.")] = False,
) -> int:
    """Examples of a task as a person reads them."""
    from zoo import commands

    return commands.sample(context.obj, words, count, split, as_json=as_json)


def new(
    context: typer.Context,
    kind: Annotated[Literal["mixer"], typer.Argument(help="What to start.")],
    name: Annotated[str, typer.Argument(help="Its name on the shelf.")],
) -> int:
    """A package of your own, with a test that passes: zoo new mixer mine."""
    from zoo import scaffold

    folder = scaffold.write(name, context.obj.mixers)
    print(f"{folder}: now `pip install -e {folder}`, `zoo check {folder.name}`, `pytest {folder}`")
    return 0


def data_list(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> int:
    """Every data set: is it here, how large is it, where does it come from."""
    from zoo import data_commands

    return tell(data_commands.listing(context.obj, as_json=as_json))


def data_fetch(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME|GROUP...", show_default=False)],
    force: Annotated[bool, typer.Option("--force", help="Also what is here already.")] = False,
) -> int:
    """Download or generate data; goes on where it was interrupted."""
    from zoo import data_commands

    return tell(data_commands.fetch(context.obj, names, force=force))


def data_verify(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME|GROUP...]", show_default=False)
    ] = None,
) -> int:
    """Compare the checksums of all data that is here."""
    from zoo import data_commands

    return tell(data_commands.verify(context.obj, names or []))


def tell(outcome: tuple[str, int]) -> int:
    """Print the first, return the second."""
    print(outcome[0])
    return outcome[1]


def doctor(context: typer.Context) -> int:
    """This machine: device, versions, which kernels are here and why the others are not."""
    from zoo import commands

    complain(context.obj)
    return commands.doctor(context.obj)
