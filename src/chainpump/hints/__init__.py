"""Which type a function takes and returns, and whether one type fits another. Nothing here knows of pipelines.

* `annotations`: the signature and the evaluated annotations of a callable
* `arrays`: hints of numpy and jaxtyping
* `assignability`: whether one hint fits another: one rule for each kind of hint
* `callables`: the signatures of whatever can be called
* `class_members`: attributes and methods of a class, as hints
* `classes`: the bases of a class, and what iterating it gives
* `comparison`: answers questions about two hints, each once, without recursion
* `decorators`: what a decorator makes of a function
* `display`: hints as text, and where two of them differ
* `forms`: hints taken apart and put together
* `objects`: what a user passes, looked at without trust
* `overloads`: which overload is meant
* `ownership`: whether code is the program's own or a library's
* `reading`: one signature: parameters, result, and what their hints mean
* `signatures`: whether one signature can stand for another
* `standard_library`: signatures that the standard library does not declare
* `structure`: protocols, callables and TypedDicts compared by what they offer
* `tuples`: the items of a tuple hint
* `typeshed`: bases of built-in classes that only type checkers know
* `unions`: whether the members of one union fit another
* `variance`: which type arguments may be narrower or wider
"""
