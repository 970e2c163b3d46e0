"""Answers questions about two hints, each once and without recursion. A question inside itself is answered with yes.

A rule is a generator: it yields the questions that its own answer depends on, and is sent their answers. So a deep hint
needs no deep stack, and one place remembers what was asked, and notices what never ends.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Iterable, Sequence
from types import NoneType
from typing import Annotated, Any, ForwardRef, Literal, TypeAlias, TypeVar, get_origin

from ..lazy_dataclass import dataclass, field
from .forms import UNKNOWN, Bindings, Hint, free_variables, is_union, split, substitute, unpacked

__all__ = ["Asking", "Comparison", "Judge", "Question", "Verdict", "all_of", "exactly", "value_key"]

Answer = TypeVar("Answer")

# The most nested questions. A hint of 200 levels asks 400; a deeper nesting means that hints grow without end.
DEPTH = 2_000
# The most times that two classes, or two aliases, are compared inside their own comparison.
NESTED = 30
# The most questions of one comparison: about 0.3 s. After that, an undecided pair is taken to fit.
QUESTIONS = 20_000


@dataclass(frozen=True, slots=True)
class Question:
    """Whether one hint stands in a relation to another. bindings: type variables of `expected`, filled by the answer.

    judge: the relation; None for `fits`. grows: it may be asked inside itself of ever larger hints, without end.
    """

    given: Hint
    expected: Hint
    bindings: Bindings
    judge: Judge | None = None
    grows: bool = False


Asking: TypeAlias = Generator[Question, bool, bool]
# The verdict of one rule; None if the rule does not apply.
Verdict: TypeAlias = Generator[Question, bool, bool | None]
Judge: TypeAlias = Callable[["Comparison", Question], Asking]
# The key of a question: two hints as tokens, and their relation.
Key: TypeAlias = tuple[int, int, Judge]


def all_of(questions: Iterable[Question]) -> Asking:
    """Whether all answers are yes. Stops at the first no."""
    for each in questions:
        if not (yield each):
            return False
    return True


def exactly(comparison: Comparison, question: Question) -> Asking:
    """Whether two hints mean the same type, as an invariant position requires."""
    given, expected, bindings = question.given, question.expected, question.bindings
    if not (yield Question(given, expected, bindings)):
        return False
    return (yield Question(comparison.substitute(expected, bindings), given, {}))


@dataclass(slots=True)
class _Open:
    """A question that is being answered. low: the index of the outermost open question on which its answer depends."""

    key: Key
    question: Question
    variables: Sequence[Any]
    shape: object
    asking: Asking
    concluded: int
    low: int


@dataclass(slots=True)
class Comparison:
    """The state of one comparison. count: questions so far. raised: exceptions of the code of hints."""

    judge: Judge
    count: int = 0
    raised: list[Exception] = field(default_factory=list)
    # Known answers, by question and bindings.
    _known: dict[tuple[Any, ...], bool] = field(default_factory=dict)
    # The index of each open question in the stack.
    _open: dict[Key, int] = field(default_factory=dict)
    # How many open questions have the same shape.
    _shapes: dict[Any, int] = field(default_factory=dict)
    # Answers that hold if some open question is answered with yes.
    _supposed: list[tuple[Any, ...]] = field(default_factory=list)
    # The tokens of hints, by their structure.
    _tokens: dict[Any, int] = field(default_factory=dict)
    # The tokens of hints, by id. The hint is kept so that its id stays valid.
    _seen: dict[int, tuple[Hint, int]] = field(default_factory=dict)
    _made: dict[Any, dict[int, Hint]] = field(default_factory=dict)

    def answer(self, question: Question) -> bool:
        """Answer a question and all questions that it depends on."""
        stack: list[_Open] = []
        verdict = self._begun(question, stack)
        while stack:
            top = stack[-1]
            try:
                asked = next(top.asking) if verdict is None else top.asking.send(verdict)
            except StopIteration as done:
                verdict = self._conclude(stack, bool(done.value))
            except Exception as error:
                # The code of metaclasses, descriptors and aliases may raise anything.
                self.raised.append(error)
                verdict = self._conclude(stack, verdict=True)
            else:
                verdict = self._begun(asked, stack)
        return bool(verdict)

    def drive(self, asking: Generator[Question, bool, Answer]) -> Answer:
        """Run a rule to its verdict, answering its questions."""
        try:
            question = next(asking)
            while True:
                question = asking.send(self.answer(question))
        except StopIteration as done:
            answer: Answer = done.value
            return answer

    def _begun(self, question: Question, stack: list[_Open]) -> bool | None:
        try:
            return self._begin(question, stack)
        except Exception as error:
            # The code of hints may raise anything.
            self.raised.append(error)
            return True

    def _begin(self, question: Question, stack: list[_Open]) -> bool | None:
        """The answer if it is known or has to be assumed; otherwise the question is opened."""
        # 1. It would never end: yes. 2. It is asked inside itself: yes, if everything else fits. 3. It was answered
        # before.
        self.count += 1
        judge = question.judge or self.judge
        key = (self.token(question.given), self.token(question.expected), judge)
        shape = _shape(question)
        if self.count > QUESTIONS or len(stack) >= DEPTH or self._shapes.get(shape, 0) >= NESTED:
            return True
        if key in self._open:
            stack[-1].low = min(stack[-1].low, self._open[key])
            return True
        variables = free_variables(question.expected)
        if key[0] == key[1] and not variables:
            return True
        known = self._known.get((*key, *self._bound(variables, question.bindings)))
        if known is not None:
            return known
        self._open[key] = len(stack)
        if shape is not None:
            self._shapes[shape] = self._shapes.get(shape, 0) + 1
        stack.append(_Open(key, question, variables, shape, judge(self, question), len(self._supposed), len(stack)))
        return None

    def _bound(self, variables: Sequence[Any], bindings: Bindings) -> Iterable[int]:
        """The bindings of the type variables so far, as tokens."""
        return [self.token(bindings[each]) if each in bindings else -1 for each in variables]

    def _conclude(self, stack: list[_Open], verdict: bool) -> bool:
        done, place = stack.pop(), len(stack)
        del self._open[done.key]
        if done.shape is not None:
            self._shapes[done.shape] -= 1
        key = (*done.key, *self._bound(done.variables, done.question.bindings))
        # Drop all answers that assumed a yes here.
        if not verdict:
            for each in self._supposed[done.concluded :]:
                self._known.pop(each, None)
            del self._supposed[done.concluded :]
        elif done.low < place:
            self._supposed.append(key)
            stack[-1].low = min(stack[-1].low, done.low)
        if verdict or not done.variables:
            self._known[key] = verdict
        return verdict

    def substitute(self, hint: Hint, bindings: Bindings) -> Hint:
        """Like `forms.substitute`, but each part of a deep hint is made only once."""
        variables = [each for each in free_variables(hint) if each in bindings]
        if not variables:
            return hint
        # This keeps the hint, so that the ids of its parts stay valid.
        self.token(hint)
        found = tuple((id(each), self.token(bindings[each])) for each in variables)
        return substitute(hint, {each: bindings[each] for each in variables}, self._made.setdefault(found, {}))

    def token(self, hint: Hint) -> int:
        """A number that is equal for hints of equal structure."""
        pending = [hint]
        while pending:
            each = pending[-1]
            _, number = self._seen.get(id(each), (each, None))
            if number is not None and number >= 0:
                pending.pop()
                continue
            form, parts = _structure(each)
            missing = [part for part in parts if id(part) not in self._seen]
            # Mark it as begun: a list may contain itself.
            self._seen[id(each)] = each, -1
            if missing and number is None:
                pending += missing
                continue
            numbers = [self._seen[id(part)][1] for part in parts]
            known = (form, *(sorted(set(numbers)) if form == UNION else numbers))
            is_same = form == SAME
            self._seen[id(each)] = each, numbers[0] if is_same else self._tokens.setdefault(known, len(self._tokens))
            pending.pop()
        return self._seen[id(hint)][1]


def _shape(question: Question) -> object:
    """The classes or aliases whose comparison may contain itself with ever larger hints; None for other questions."""
    given, expected = (split(each)[0] for each in (question.given, question.expected))
    if question.grows:
        return id(given), id(expected), question.judge
    are_aliases = all(type(each).__name__ == "TypeAliasType" for each in (given, expected))
    return (id(given), id(expected)) if are_aliases else None


# Kinds of structure: parts in any order, a wrapper of one part, a list of parameters.
UNION, SAME, LIST = "union", "same", "list"


def _structure(hint: Hint) -> tuple[Any, Sequence[Hint]]:  # noqa: PLR0911  # a case for each kind of hint
    """A value that identifies the form of a hint, and the parts of the hint."""
    if hint is None or isinstance(hint, (str, ForwardRef)):
        return SAME, (NoneType if hint is None else UNKNOWN,)
    if isinstance(hint, (list, tuple)):
        return LIST, hint
    origin, args = split(hint)
    if isinstance(hint, type) and get_origin(hint) is None:
        return (id(origin), bool(args)), args
    if origin is Annotated and args:
        return SAME, args[:1]
    if origin is Literal:
        return (Literal, frozenset(map(value_key, args))), ()
    parts = getattr(hint, "__args__", None) or ()
    if is_union(hint):
        return UNION, parts
    return (id(origin), bool(parts), unpacked(hint) is not None), parts if isinstance(parts, tuple) else ()


def value_key(value: object) -> Hashable:
    """A key that is equal for values that are the same Literal: 1 and True have different keys."""
    try:
        hash(value)
    except Exception:
        # The value's own `__hash__` or `__eq__` may raise anything.
        return id(value)
    return type(value), value
