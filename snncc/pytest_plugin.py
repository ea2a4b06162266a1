"""pytest plugin: networks that must deploy, as tests. ::

    @pytest.mark.snncc(model="mnist-lif", target="loihi-sim", data="mnist:demo", max_accuracy_drop=0.5)
    def test_deploys(snncc_compiled):
        snncc_compiled.verify()

The arguments are those of :class:`snncc.testing.Asked`; ``parametrize("snncc_compiled", [{"target": …}, …], indirect=True)``
adds to them. Nothing is imported before a test asks for the fixture. ``-p no:snncc`` leaves the plugin out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from snncc.testing import Deployed

COMPILING = (
    "target", "bits", "guard_bits", "per_layer", "layer_bits", "calibrate", "calibration_samples", "rounding", "reader",
)  # fmt: skip
"""Fields of :class:`snncc.testing.Asked` that make another program."""
FILES = ("model", "data", "calibrate", "costs", "chip")
"""Those that may name a file."""
_COMPILED = pytest.StashKey[dict[str, Any]]()


def pytest_configure(config: pytest.Config) -> None:
    """Makes the marker known."""
    config.addinivalue_line(
        "markers",
        "snncc(model, target='fixed-sim', data=None, ...): what the fixture snncc_compiled compiles and verifies",
    )


@pytest.fixture
def snncc_compiled(request: pytest.FixtureRequest) -> Iterator[Deployed]:
    """The network of the marker ``snncc``, compiled (once a session): a :class:`snncc.testing.Deployed`.

    A test that names data must call ``verify()``: one that forgets is an error, for it would be green whatever it deploys.
    """
    from snncc.errors import SnnccError
    from snncc.testing import asked

    try:
        what = asked(_arguments(request))
        made = _deployed(request, what)
    except SnnccError as error:
        pytest.fail(f"snncc cannot compile what this test names: {error}", pytrace=False)
    yield made
    if what.data is not None and not made.verified:
        pytest.fail(f"{request.node.name} names data but never called snncc_compiled.verify()", pytrace=False)


def _arguments(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Of the markers, nearest last, and of the parameter; files beside the test come before those where pytest runs."""
    given: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers("snncc"))):
        given |= dict(zip(("model", "target", "data"), marker.args, strict=False)) | marker.kwargs
    given |= getattr(request, "param", {})
    for name in FILES:
        beside = request.path.parent / given[name] if isinstance(given.get(name), str | Path) else None
        if beside is not None and beside.is_file():
            given[name] = str(beside)
    return given


def _deployed(request: pytest.FixtureRequest, what: Any) -> Deployed:
    """What was compiled before, where only what is asked of it differs."""
    from snncc.testing import Deployed, deploy

    cache = request.config.stash.setdefault(_COMPILED, {})
    named = isinstance(what.model, str | Path)
    key = repr([str(what.model) if named else id(what.model), *(getattr(what, name) for name in COMPILING)])
    if key not in cache:
        cache[key] = what.model, deploy(what)
    before = cache[key][1]
    return Deployed(what, before.made, before.target)
