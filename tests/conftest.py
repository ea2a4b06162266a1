"""Test profiles: the same examples in every run unless asked otherwise (``HYPOTHESIS_PROFILE=search`` looks further)."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_SLOW_START = [HealthCheck.too_slow, HealthCheck.data_too_large]  # the first example compiles kernels

settings.register_profile("ci", derandomize=True, max_examples=40, deadline=None, suppress_health_check=_SLOW_START)
settings.register_profile("search", max_examples=1000, deadline=None, suppress_health_check=_SLOW_START)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
