"""How hypothesis runs here: the same examples every time, unless a profile is asked for.

`pytest tests/property --hypothesis-profile=search` looks at many new examples instead. This looks at 10,000 random
chains of operators, for about half an hour:

    pytest tests/property/test_any_operators.py -k same_order --hypothesis-profile=thorough --hypothesis-seed=1 \\
        --timeout=0
"""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings

from support.cases import in_short

__all__ = ["register"]


def register() -> None:
    """Register the profiles, and let the repeatable one be the default."""
    # No deadline: how long an example takes depends on what else the machine does, and a hang is pytest's to end.
    # No check of how large examples are: whether it fails depends on the seed, and that on the source of the test.
    # No database: what failed once belongs into an `@example`. What fails is shown as it was found: to make it smaller
    # may take minutes of processes, and is for the search.
    settings.register_profile(
        "repeatable",
        derandomize=True,
        deadline=None,
        database=None,
        max_examples=in_short(usual=50, whole=100),
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    settings.register_profile("thorough", settings.get_profile("repeatable"), derandomize=False, max_examples=20_000)
    settings.register_profile(
        "search",
        settings.get_profile("repeatable"),
        derandomize=False,
        max_examples=1_000,
        phases=tuple(Phase),
        print_blob=True,
    )
    settings.load_profile("repeatable")
