"""``snncc``: the command line. Verbs are loaded when they are used, so that ``--help`` is quick."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import NoReturn

import click

from snncc import __version__
from snncc.cli.options import visible
from snncc.errors import SnnccError

VERBS = {
    "compile": "Compile a model for a target into a folder.",
    "run": "Run a compiled folder on data.",
    "replay": "Run a compiled folder's recorded samples again.",
    "verify": "Check the float network against its integer program and the target.",
    "profile": "Count spikes and operations, place them on a chip and price them.",
    "compare": "Hold a model on several targets side by side.",
    "energy": "Price event counts from a file, with latency and uncertainty.",
    "neurobench": "Count the metrics of NeuroBench, as its harness does.",
    "inspect": "Print what a model's network does, layer by layer.",
    "check": "List everything a target or a chip cannot take in a model.",
    "place": "Put a network on the cores of a chip.",
    "diff": "Say which stage of a deployment first changes a spike, and what each costs.",
    "export": "Write a model as NIR or ONNX, with its complete semantics.",
    "convert": "Make an ANN of ReLU or clips spike.",
    "targets": "List the targets.",
    "passes": "List the passes.",
    "models": "List the zoo.",
    "train": "Train a model of the zoo.",
    "setup": "Install what a target needs.",
}


class LazyGroup(click.Group):
    """A group whose commands live in ``snncc.cli.<verb>`` as ``command``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        command: click.Command = import_module(f"snncc.cli.{name}_").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="snncc")
def cli() -> None:
    """The deployment compiler for spiking neural networks.

    Reads a trained network, quantises it to whole numbers, proves that the result computes the same spikes, and says
    what it costs. Exit codes: 0 fine, 1 a gate failed or there are findings,
    2 bad usage or bad input, 3 a gate is undecided.
    """


def main() -> None:
    """Entry point: errors of :class:`SnnccError` become one message and exit code 2."""
    try:
        # What comes back is the code that a verb's Exit carries.
        sys.exit(cli(prog_name="snncc", standalone_mode=False, color=_color()) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; files are written whole or not at all, so nothing is half-written", err=True)
        sys.exit(130)
    except SnnccError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename or 'writing or reading'}: {error.strerror or error}")
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] in ("snncc", "__main__"):
            raise
        extra = f"pip install 'snncc[{error.name}]'" if error.name == "torch" else f"install {error.name}"
        _fail(f"this needs {error.name}, which is not installed: {extra}")


def _color() -> bool | None:
    """None lets the terminal decide; a NO_COLOR that is not empty says no (no-color.org)."""
    return False if os.environ.get("NO_COLOR") else None


def _fail(message: str) -> NoReturn:
    click.secho(" error ", fg="red", bold=True, nl=False, err=True, color=_color())
    click.echo(f" {visible(message)}", err=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
