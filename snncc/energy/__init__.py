"""What a run costs: exact event counts times published costs. See :mod:`snncc.energy.account` and docs/energy.md."""
