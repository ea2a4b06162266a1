"""Gates as a JUnit file, which continuous integration shows as tests: one test case a gate.

Elements, attributes and their order are those that both the Ant and the Jenkins schema take.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from xml.etree import ElementTree

from snncc.evidence import FAILED, UNDECIDED
from snncc.gates import Gate


def junit(gates: Sequence[Gate], suite: str, seconds: float, allow_undecided: bool, now: datetime | None = None) -> str:
    """XML of one test suite named ``suite``, which took ``seconds``. A failed gate is a failure; an undecided one is, too,
    unless it is allowed: then it is skipped. ``now``: when it ended, in UTC."""
    moment = (now or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    undecided = sum(g.outcome == UNDECIDED for g in gates)
    failures = sum(g.outcome == FAILED for g in gates) + (0 if allow_undecided else undecided)
    root = ElementTree.Element("testsuites")
    one = ElementTree.SubElement(
        root,
        "testsuite",
        {
            "id": "0",
            "package": "snncc",
            "name": _clean(suite),
            "timestamp": moment,
            "hostname": "localhost",
            "tests": str(len(gates)),
            "failures": str(failures),
            "errors": "0",
            "skipped": str(undecided if allow_undecided else 0),
            "time": f"{seconds:.3f}",
        },
    )
    ElementTree.SubElement(one, "properties")
    for gate in gates:
        share = f"{seconds / len(gates):.3f}"
        case = ElementTree.SubElement(
            one, "testcase", {"name": _clean(gate.name), "classname": f"snncc.{_clean(suite)}", "time": share}
        )
        said = _clean(f"{gate.outcome}: {gate}")
        if gate.outcome == UNDECIDED and allow_undecided:
            ElementTree.SubElement(case, "skipped", {"message": said})
        elif gate.outcome != "met":
            ElementTree.SubElement(case, "failure", {"message": said, "type": gate.outcome}).text = said
    ElementTree.SubElement(one, "system-out").text = "\n".join(_clean(f"{g.outcome}: {g}") for g in gates)
    ElementTree.SubElement(one, "system-err")
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _clean(text: str) -> str:
    """Without the signs that XML 1.0 forbids: names come from files of others."""
    return "".join(s if s.isprintable() else "\N{REPLACEMENT CHARACTER}" for s in text)
