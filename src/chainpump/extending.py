"""What an extension of chainpump is made of; `docs/extending.md` shows one of each kind.

An operator is a generator function, an observer is a function of a `Progress`, and a codec is given to
`register_codec`: they need nothing of this module but a name for their type.
"""

from .executors.programs import ProgramExecutor
from .plan.placement import Workers
from .policies import Action, Policy, Verdict
from .progress.observer_thread import Observer

__all__ = ["Action", "Observer", "Policy", "ProgramExecutor", "Verdict", "Workers"]
