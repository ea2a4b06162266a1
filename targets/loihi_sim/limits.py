"""What Lava's fixed-point models and the chips behind them can hold, each with its source."""

from __future__ import annotations

from collections.abc import Mapping

LAVA_VERSION = "0.10.0"

WEIGHT_LOW, WEIGHT_HIGH = -128, 127
"""Signed 8-bit synapses: Davies et al. 2018, table 1; lava/utils/weightutils.py (sent doubled to Dense, whose mixed-sign
weights are even)."""

WEIGHT_EXPONENT_HIGH = 7
"""All synapses of a projection may be multiplied by 2**exponent: Loihi 1's is -7..7 (Davies et al. 2018); Lava shifts the sum
(weight_exp in lava/proc/dense/models.py). Ours is never negative."""

DECAY_REGISTER_HIGH = 4095
"""du, dv: unsigned 12 bits; lava/proc/lif/models.py, PyLifModelBitAcc. The current decays by du + 1, the membrane by dv."""

THRESHOLD_REGISTER_HIGH = (1 << 17) - 1
"""vth: unsigned 17 bits, shifted left by 6; PyLifModelBitAcc."""

BIAS_MANTISSA_LOW, BIAS_MANTISSA_HIGH = -4096, 4095
"""bias_mant: signed 13 bits; PyLifModelBitAcc. Wider ones wrap silently at 16 bits."""

BIAS_EXPONENT_HIGH = 7
"""bias_exp: unsigned 3 bits; PyLifModelBitAcc."""

GUARD_BITS = 6
"""Synaptic input is shifted left by 6 before it meets the current: act_shift in lava/proc/lif/models.py."""

STATE_LIMIT = 1 << 23
"""u and v: signed 24 bits; lava/proc/lif/models.py."""

ACCUMULATOR_LIMIT = 1 << 31
"""Ports and Dense's sums are 32-bit integers in Lava: lava/proc/dense/models.py, a_out."""

STOCK_INPUT_LIMIT = 1 << 24
"""Summed input of Lava's LIF: shifted by 6 and added to a 24-bit state it must stay in 32 bits; lava/proc/lif/models.py."""

DELAY_HIGH = 63
"""Synaptic delay in steps, Loihi 2: lava/proc/dense/models.py, DelayDense."""

PAYLOAD_HIGH = (1 << 23) - 1
"""Graded spikes in Lava's fixed-point ports: signed 24 bits; Loihi 2's reach 32 (Intel technology brief, 2021)."""

CONV_SETTING_HIGH = 127
"""Stride, padding, dilation, groups and kernel size are held in 8 bits: lava/proc/conv/models.py, PyConvModelFixed."""

DENSIFY_LIMIT = 1 << 22
"""A sparse projection with no more than this many possible weights is given to Dense; ours, 16 MiB of 32-bit weights."""

_LAVA = f"lava-nc {LAVA_VERSION}, lava/proc/lif/models.py, PyLifModelBitAcc"

LIMITS: Mapping[str, Mapping[str, int | str]] = {
    "weight": {"value": f"{WEIGHT_LOW}..{WEIGHT_HIGH}", "source": "Davies et al. 2018, IEEE Micro 38(1), table 1"},
    "weight exponent": {"value": f"0..{WEIGHT_EXPONENT_HIGH}", "source": "Davies et al. 2018; Loihi 1: -7..7"},
    "decay register": {"value": f"0..{DECAY_REGISTER_HIGH}", "source": _LAVA},
    "threshold register": {"value": f"0..{THRESHOLD_REGISTER_HIGH}, times {1 << GUARD_BITS}", "source": _LAVA},
    "bias mantissa": {"value": f"{BIAS_MANTISSA_LOW}..{BIAS_MANTISSA_HIGH}", "source": _LAVA},
    "bias exponent": {"value": f"0..{BIAS_EXPONENT_HIGH}", "source": _LAVA},
    "guard bits": {"value": GUARD_BITS, "source": _LAVA + ", act_shift"},
    "state bits": {"value": 24, "source": _LAVA},
    "delay": {"value": f"0..{DELAY_HIGH} steps", "source": "Loihi 2; lava/proc/dense/models.py, DelayDense"},
    "graded payload": {"value": f"up to {PAYLOAD_HIGH}", "source": "lava/proc/dense/models.py, 24-bit ports"},
}
