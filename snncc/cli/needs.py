"""What options need of each other and of the data they name, said before anything runs."""

from __future__ import annotations

import click
from click.core import ParameterSource

from snncc.errors import InputError

TEST_SPLITS = (":test", ":demo")
"""Ends of the names of data on which accuracies are reported."""


def only_with(leading: str, given: bool, *names: str) -> None:
    """Raises :class:`InputError` on options, by parameter name, that were said though ``leading``, without which they do nothing,
    was not ``given``."""
    context = click.get_current_context()
    if given:
        return
    for option in context.command.params:
        if option.name in names and context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE:
            raise InputError(f"{option.opts[-1]} is for {leading}: say that too, or leave it out")


def warn_of_test_data(option: str, data: str) -> None:
    """Says on standard error that what is fitted to a test split cannot be tested on it."""
    from snncc.report.terminal import fact

    name = data.partition("?")[0]
    if name.endswith(TEST_SPLITS):
        better = f"{name.rpartition(':')[0]}:train"
        fact(
            "warning",
            f"{option} {data}: the network is fitted to it, so its accuracy there is no test any more; take {better}",
            err=True,
        )
