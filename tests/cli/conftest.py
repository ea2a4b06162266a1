"""The command line in this process."""

from __future__ import annotations

import sys

import pytest

from snncc.cli import main as cli_main

Outcome = tuple[int, str, str]


@pytest.fixture
def snncc(capsys, monkeypatch):  # type: ignore[no-untyped-def]
    """Run ``snncc …`` in this process: (exit code, standard output, standard error)."""

    def call(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["snncc", *map(str, arguments)])
        capsys.readouterr()
        try:
            cli_main.main()
            code = 0
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return call
