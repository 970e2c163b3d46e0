"""The types from which extensions of chainpump are made; `docs/extending.md` shows an example of each kind.

An operator is a generator function, an observer is a function of a `Progress`, and a codec is passed to
`register_codec`. They need this module only for the names of types.
"""

from .executors.programs import ProgramExecutor
from .plan.placement import Workers
from .policies import Action, Policy, Verdict
from .progress.observer_thread import Observer

__all__ = ["Action", "Observer", "Policy", "ProgramExecutor", "Verdict", "Workers"]
