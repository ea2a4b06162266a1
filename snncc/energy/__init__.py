"""What a run costs: exact event counts times published costs. See :mod:`snncc.energy.model` and docs/energy.md."""
