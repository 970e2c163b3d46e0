"""A policy: an item is tried again when the service that refused it says so."""

from dataclasses import dataclass

from chainpump import Pipeline, Threads
from chainpump.extending import Action, Verdict


class BusyError(Exception):
    """A service asks to be called again after so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


@dataclass(frozen=True)
class RetryAfter:
    """Obeys a BusyError, so many times; then the item becomes a dead letter. Any other exception ends the run."""

    times: int = 3

    def decide(self, error: BaseException, tries: int) -> Verdict:
        """tries: how many calls this item has had, all of which have failed."""
        if not isinstance(error, BusyError):
            return Verdict(Action.RAISE)
        if tries > self.times:
            return Verdict(Action.DEAD_LETTER, limit=100)
        return Verdict(Action.RETRY, pause=error.seconds)


def ask(number: int) -> int:
    """Call a service that has no time for odd numbers."""
    if number % 2:
        raise BusyError(0.01)
    return number


if __name__ == "__main__":
    asked = Pipeline(range(4)).map(ask, on=Threads(2), on_error=RetryAfter(times=1))
    report = asked.into(list, on=Threads()).run()
    print(report.value, sorted(letter.item for letter in report.dead_letters))  # [0, 2] [1, 3]
