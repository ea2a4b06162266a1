"""What the C sources keep in flash and in RAM, array by array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snncc.targets.c99.helpers import pack
from snncc.targets.c99.plan import BYTES, signed

Array = np.ndarray
_NUMBERS_A_LINE = 24


@dataclass(frozen=True, eq=False)
class Constant:
    """A ``const`` array of ``owner``, a population or a projection; each element of ``values`` holds ``count`` numbers."""

    owner: str
    name: str
    type: str
    values: Array
    count: int = 1

    @property
    def bytes(self) -> int:
        """Of flash."""
        return self.values.size * BYTES[self.type]

    def text(self) -> str:
        """Its definition in C."""
        numbers = [str(x) for x in self.values.reshape(-1).tolist()]
        lines = ["    " + ", ".join(numbers[i : i + _NUMBERS_A_LINE]) for i in range(0, len(numbers), _NUMBERS_A_LINE)]
        return f"static const {self.type} {self.name}[{self.values.size}] = {{\n" + ",\n".join(lines) + "\n};\n"


@dataclass(frozen=True)
class Variable:
    """An array of the state; ``sizes`` as in C, each element holding ``count`` numbers. One without sizes is a number."""

    owner: str
    name: str
    type: str
    sizes: tuple[int, ...]
    count: int = 1

    @property
    def bytes(self) -> int:
        """Of RAM."""
        return int(np.prod(self.sizes, dtype=np.int64)) * BYTES[self.type]

    def text(self) -> str:
        """Its declaration in C."""
        return f"{self.type} {self.name}" + "".join(f"[{n}]" for n in self.sizes) + ";"


@dataclass
class Memory:
    """All arrays; ``scratch`` holds what is used within a step only, in two unions by the name of each."""

    constants: list[Constant] = field(default_factory=list)
    state: list[Variable] = field(default_factory=list)
    scratch: dict[str, list[Variable]] = field(default_factory=lambda: {"current": [], "sums": []})

    def constant(self, owner: str, name: str, values: Array, kind: str | None = None, packed: int = 0) -> str:
        """Keep ``values`` in flash, with ``packed`` as numbers of so many bits, and return the name. The same numbers are
        kept once, under the name that they had first, as compilers do when they see them."""
        values = np.asarray(values)
        values = pack(values, packed) if packed else values
        kind = kind or signed(int(values.min()), int(values.max()))
        for c in self.constants:
            if c.type == kind and np.array_equal(c.values.reshape(-1), values.reshape(-1)):
                return c.name
        self.constants.append(Constant(owner, name, kind, values, 8 // packed if packed else 1))
        return name

    def variable(self, owner: str, name: str, kind: str, *sizes: int, packed: int = 0) -> str:
        """Keep an array in the state, and return how a function of ``network.c`` calls it."""
        self.state.append(Variable(owner, name, kind, sizes, 8 // packed if packed else 1))
        return f"snn.{name}"

    def temporary(self, union: str, name: str, kind: str, size: int) -> str:
        """Share an array with others of its union, and return its name."""
        self.scratch[union].append(Variable("", name, kind, (size,)))
        return f"scratch_{union}.{name}"

    def ordered(self) -> list[Variable]:
        """The state with wide types first, so that no byte is lost between them."""
        return sorted(self.state, key=lambda v: -BYTES[v.type])

    def ram(self) -> tuple[int, int]:
        """(bytes of the state, bytes of the scratch), each rounded up to its widest type."""

        def rounded(size: int, parts: Sequence[Variable]) -> int:
            widest = max((BYTES[v.type] for v in parts), default=1)
            return -(-size // widest) * widest

        scratch = sum(rounded(max((v.bytes for v in u), default=0), u) for u in self.scratch.values())
        return rounded(sum(v.bytes for v in self.state), self.state), scratch

    def report(self) -> dict[str, Any]:
        """Bytes of flash and RAM, in all and by population and projection; the program's own code is not counted."""
        parts: dict[str, dict[str, Any]] = {}
        for kind, arrays in (("flash", self.constants), ("ram", self.state)):
            for a in arrays:
                part = parts.setdefault(a.owner, {"flash_bytes": 0, "ram_bytes": 0, "arrays": {}})
                part[f"{kind}_bytes"] += a.bytes
                count = a.values.size if isinstance(a, Constant) else a.bytes // BYTES[a.type]
                shared = f" of {a.count} each" if a.count > 1 else ""
                part["arrays"][a.name] = f"{a.type} x {count}{shared}, {kind}"
        state, scratch = self.ram()
        return {
            "flash_bytes": sum(c.bytes for c in self.constants),
            "ram_bytes": state + scratch,
            "ram_state_bytes": state,
            "ram_scratch_bytes": scratch,
            "parts": parts,
        }
