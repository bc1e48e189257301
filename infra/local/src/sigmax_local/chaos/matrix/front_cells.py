"""Every cell in front of a real risk-gate."""

from sigmax_local.chaos.matrix.front_halts import FRONT_HALTS
from sigmax_local.chaos.matrix.front_limits import FRONT_LIMITS
from sigmax_local.chaos.matrix.front_outages import FRONT_OUTAGES
from sigmax_local.chaos.matrix.front_signals import FRONT_SIGNALS

FRONT = (*FRONT_SIGNALS, *FRONT_HALTS, *FRONT_LIMITS, *FRONT_OUTAGES)
