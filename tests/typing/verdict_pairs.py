"""Groups of hints, as text: each of a group is given where each other one is expected. See `verdicts`."""

# ruff: noqa: E501  # lists of words
from __future__ import annotations

__all__ = ["GROUPS", "NEW_GROUPS", "NEW_HINTS"]

GROUPS: dict[str, str] = {
    "numbers": """
        int; bool; float; complex; str; bytes; None; object; Number; Level; np.int64; np.float32; np.float64; np.bool_
        Decimal; Fraction; UserId; AdminId; Literal[1]; Literal[True]; int | float; SupportsInt; SupportsFloat
        SupportsIndex; SupportsAbs[int]; Indexed; Hashable; Comparable
    """,
    "containers": """
        list[int]; list[bool]; list[Any]; list; list[int | str]; tuple[int, ...]; tuple[int, int]; set[int]
        frozenset[int]; Sequence[int]; MutableSequence[int]; Collection[int]; Iterable[int]; Iterator[int]; Iterable[float]
        Container[int]; Sized; Reversible[int]; deque[int]; range; str; bytes; bytearray; memoryview; Names; Stack[int]
        Ints; Rows; Cursor; UserList[int]; array.array[int]; Sequence[str]; Iterable[Any]; AbstractSet[int]; Holder; Backwards
        list[int] | None; Hashable
    """,
    "mappings": """
        dict[str, int]; dict[str, bool]; dict[str, Any]; dict; Mapping[str, int]; Mapping[str, object]; Mapping[str, float]
        MutableMapping[str, int]; OrderedDict[str, int]; defaultdict[str, int]; Counter[str]; ChainMap[str, int]
        Registry[int]; Swapped[int, str]; Table[int]; UserDict[str, int]; MappingProxyType[str, int]; Iterable[str]
        KeysView[str]; ItemsView[str, int]; ValuesView[int]; Iterable[tuple[str, int]]; AbstractSet[str]; Collection[int]
        Collection[str]; Movie; Container[str]; Sized
    """,
    "tuples": """
        tuple[int, str]; tuple[bool, str]; tuple[int, int]; tuple[int, ...]; tuple[Any, ...]; tuple; tuple[()]; XY; XYZ
        SubXY; Loose; Tagged[int]; Tagged[str]; IntTagged; tuple[str, int]; tuple[Any, Any]; tuple[int, int, str]
        tuple[int, *tuple[str, ...]]; tuple[*tuple[int, ...], str]; Sequence[int]; Sequence[int | str]; tuple[int]
        tuple[int | str, ...]; Iterable[object]; ReadsX; HasX; tuple[float, float]; tuple[str, Any]; Sequence[Any]
    """,
    "typed dictionaries": """
        Movie; PlainMovie; LongMovie; PartialMovie; DraftMovie; RequiredMovie; FixedMovie; FixedOptional; AnyTitle; Page[int]
        Page[bool]; Page[Any]; IntPage; Nested; dict[str, Any]; dict[str, object]; Mapping[str, object]; Mapping[str, Any]
        Mapping[str, int]; dict[str, int]; MutableMapping[str, object]; Sized; Iterable[str]; object
    """,
    "literals and enums": """
        Literal["a"]; Literal["a", "b"]; Literal[1]; Literal[1, 2]; Literal[True]; Literal[True, False]; bool; int; str; Color
        Literal[Color.RED]; Literal[Color.RED, Color.BLUE]; Level; Literal[Level.LOW]; Mode; Flags; OnlyOne
        Literal[OnlyOne.ONE]; None; Literal[None]; Literal["a"] | None; int | str; Text; Sequence[str]; float; type[Color]
        Iterable[Color]; type[Level]; Iterable[Level]; Literal[b"a"]; bytes
    """,
    "unions": """
        int; str; None; int | str; str | int; int | None; Optional[str]; Union[int, str, None]; bool | str; float | str; object
        Any; list[int] | None; list[int] | list[str]; list[int | str]; Sequence[int] | None; Maybe[int]; Json
        dict[str, Json]; list[Json]; dict[str, int]; dict[str, Any] | list[Any]; Dog | Cat; Animal; Animal | None; Dog
        Never; UserId | None; Ints2; Lists[int]; Ints2 | None
    """,
    "classes": """
        Animal; Dog; Puppy; Cat; Point; Point3; Frozen; Named; Shape; Square; object; type; Animal | Point; Annotated[Dog, "d"]
        Annotated[Animal, 1]; Hashable; Hashless
    """,
    "generic classes": """
        Box[int]; Box[bool]; Box[str]; Box[Any]; Box; IntBox; FrozenBox[int]; FrozenBox[bool]; FrozenBox[float]; Source[int]
        Source[bool]; Source[object]; Sink[int]; Sink[bool]; Sink[object]; Cell[int]; Cell[bool]; Cell[Any]; IntCell
        Kennel[Dog]; Kennel[Animal]; Either[int]; Either[str]; Dated; Dated[int]; Dated[str]; Gets[int]; Gets[float]
        Puts[int]; Puts[bool]; GetsAndPuts[int]; GetsAndPuts[bool]; HasItem[int]; ReadsItem[int]; ReadsItem[float]
        AttrBox[int]; AttrBox[bool]
    """,
    "attributes": """
        Point; Point3; Frozen; FrozenSlots; AttrPoint; AttrFrozen; XY; Loose; HasX; ReadsX; ReadsFloatX; HasFloatX; HasName
        ReadsName; Animal; Named; NamedProperty; NamedSetter; NamedCached; NamedFinal; NamedClass; NamedOptional; Dog; int
        Described; Box[int]; Color
    """,
    "methods": """
        Speaks; SpeaksLoud; Animal; Dog; Quiet; Loud; LoudByName; Mute; AnySpeaker; StaticSpeaker; ClassSpeaker; Named; int
        Described
    """,
    "more methods": """
        Gets[int]; Puts[int]; PutsItem[int]; PutsAnything; Cell[int]; Sink[int]; Sink[object]; Source[int]; Closes; IO[str]
        TextIO; StringIO; Session; Sized2; list[int]; str; Old; Sized; Comparable; Vector; int; Adds; Copies; SelfCopy
        Linked; Link; dict[str, int]; Path
    """,
    "async methods": """
        Fetches; FetchesLater; FetchesCoroutine; FetchesNow; AsyncFetcher; AsyncBoolFetcher; AsyncTextFetcher; SyncFetcher
        LaterFetcher; Streams; Streamer; BadStreamer
    """,
    "callables": """
        Callable[[int], str]; Callable[[bool], str]; Callable[[float], str]; Callable[[int], object]; Callable[..., str]
        Callable[..., Any]; Callable[[], str]; Callable[[int, int], str]; Callable; Calls; CallsByPlace; CallsWithOption
        CallsMany; Handler; HandlerOption; HandlerTwo; HandlerMany; HandlerOther; HandlerObject; Overloaded
        Callable[[Any], Any]; Handlers[int]; Callable[[int], Text]; Callable[[str], str]; type[Text]; type[Dog]
        Callable[[], Dog]; Callable[..., Animal]; Callable[[], Animal]; object; Hashable; Callable[[int], None]
        Callable[[int], Awaitable[str]]; Callable[[int], Coroutine[Any, Any, str]]; Callable[[Callable[[int], str]], int]
        Callable[[Callable[[bool], str]], int]; Callable[[int], Never]
    """,
    "parameters": """
        Task[[int], str]; Task[[bool], str]; Task[[int], object]; Task[[int, int], str]; Task[..., str]; Task[[], str]; IntTask
        SubTask[[int], str]; SubTask[[str], str]; Job[[int]]; Job[[int, str]]; Job[...]; Job[[]]; Job[int]; Task[[str], str]
        Array[int, int]; Array[int, str]; Array[int]; Array[bool, int]; Matrix; Array[()]; Array[int, *tuple[int, ...]]
    """,
    "classes as values": """
        type[Animal]; type[Dog]; type[Dog] | type[Cat]; type[Dog | Cat]; type[Any]; type; type[object]; type[int]; type[bool]
        type[Shape]; type[Square]; type[WithMeta]; Iterable[int]; Meta; Callable[[], Animal]; Callable[..., Any]; object
        type[Point]; type[int] | None; Hashable; ABCMeta
    """,
    "files": """
        IO[str]; IO[bytes]; IO[Any]; TextIO; BinaryIO; io.TextIOWrapper; StringIO; BytesIO; io.FileIO; io.BufferedReader
        io.BufferedWriter; io.BufferedRandom; io.TextIOBase; io.BufferedIOBase; io.RawIOBase; io.IOBase; Iterable[str]
        Iterable[bytes]; Iterator[str]; AbstractContextManager[object]; gzip.GzipFile; tempfile.SpooledTemporaryFile[bytes]
        Closes
    """,
    "paths and patterns": """
        Path; PurePath; PosixPath; os.PathLike[str]; os.PathLike[bytes]; str; bytes; str | os.PathLike[str]; Folder
        os.DirEntry[str]; re.Pattern[str]; re.Pattern[bytes]; re.Match[str]; re.Match[bytes]; re.Pattern[Any]
        re.Match[str] | None; Hashable; UUID; datetime; date; timedelta
    """,
    "buffers": """
        bytes; bytearray; memoryview; Buffer; array.array[int]; str; Sequence[int]; bytes | bytearray; ByteHolder; mmap.mmap
        bytes | bytearray | memoryview; Sized; np.ndarray; list[int]
    """,
    "contexts": """
        AbstractContextManager[int]; AbstractContextManager[bool]; AbstractContextManager[object]; Session; OpensInt; Opens
        AsyncSession; AbstractAsyncContextManager[AsyncSession]; AbstractAsyncContextManager[object]
        AbstractContextManager[Session]; closing[Session]; nullcontext[int]; ExitStack; io.TextIOWrapper
        AbstractContextManager[TextIO]; ContextManager[int]; ThreadPoolExecutor; Lock; tempfile.TemporaryDirectory[str]
    """,
    "awaitables": """
        Awaitable[int]; Awaitable[bool]; Awaitable[Any]; Coroutine[Any, Any, int]; Coroutine[Any, Any, str]
        Coroutine[int, str, bool]; Generator[int, str, bool]; Promise[int]; Promise[str]; asyncio.Future[int]; asyncio.Task[int]
        Future[int]; AsyncIterator[int]; AsyncIterable[int]; AsyncIterable[str]; AsyncGenerator[int, None]
        AsyncGenerator[int, str]; AsyncRows; AsyncCursor; Iterator[int]; Iterable[int]; Generator[int, None, None]
        Generator[int, None, str]; Generator[bool, None, None]; Generator[int, Any, Any]; types.CoroutineType[Any, Any, int]
    """,
    "iterators": """
        Iterator[int]; Iterable[int]; Iterator[bool]; Iterator[str]; Cursor; Rows; GenRows[int]; GenRows[bool]; Iterable[Point]
        Iterable[HasX]; enumerate[int]; Iterator[tuple[int, int]]; zip[tuple[int, int]]; map[int]; filter[int]; reversed[int]
        itertools.chain[int]; itertools.count[int]; itertools.islice[int]; Iterator[object]; csv.DictReader[str]
        Iterator[dict[str, Any]]; Iterator[dict[str, str | Any]]; Old; Iterable[str]; Generator[int, None, None]; Iterator[Any]
    """,
    "arrays": """
        np.ndarray; npt.NDArray[np.float32]; npt.NDArray[np.float64]; npt.NDArray[np.int64]; npt.NDArray[Any]
        npt.NDArray[np.floating[Any]]; npt.NDArray[np.integer[Any]]; npt.NDArray[np.generic]; np.float32; np.float64; np.int64
        np.floating[Any]; np.integer[Any]; np.generic; np.number[Any]; float; int; list[float]; list[int]; Iterable[Any]; Sized
        npt.NDArray[np.bool_]; npt.NDArray[np.str_]; np.dtype[np.float32]; np.dtype[Any]; np.str_; str; bool; np.bool_
    """,
}

# In the words of Python 3.12 and later.
NEW_HINTS = """
class NewSource[X]:
    def get(self) -> X: raise NotImplementedError
class NewSink[X]:
    def put(self, value: X) -> None: ...
class NewCell[X]:
    def get(self) -> X: raise NotImplementedError
    def put(self, value: X) -> None: ...
class NewNode[X]:
    def left(self) -> "NewNode[X] | None": ...
    def value(self) -> X: raise NotImplementedError
class NewKennel[X: Animal]:
    def get(self) -> X: raise NotImplementedError
@dataclass(frozen=True)
class NewFrozen[X]:
    item: X
@dataclass
class NewBox[X]:
    item: X
class NewGets[X](Protocol):
    def get(self) -> X: ...
class NewTask[**Q, X]:
    def run(self, *args: Q.args, **kwargs: Q.kwargs) -> X: raise NotImplementedError
class NewArray[*Xs]:
    def shape(self) -> tuple[*Xs]: raise NotImplementedError
class NewTuple[X](NamedTuple):
    first: X
class NewPage[X](TypedDict):
    items: list[X]
class NewInts(NewSource[int]): ...
type NewJson = dict[str, NewJson] | list[NewJson] | str | int | None
type NewJson2 = None | int | str | list[NewJson2] | dict[str, NewJson2]
type NewList[X] = list[X]
type NewId = int
type NewTree = int | tuple[NewTree, ...]
"""

NEW_GROUPS: dict[str, str] = {
    "type parameters": """
        NewSource[int]; NewSource[bool]; NewSource[Any]; NewSource; NewSink[int]; NewSink[bool]; NewCell[int]; NewCell[bool]
        NewNode[int]; NewNode[bool]; NewKennel[Dog]; NewKennel[Animal]; NewFrozen[int]; NewFrozen[bool]; NewBox[int]
        NewBox[bool]; NewGets[int]; NewGets[float]; Gets[int]; NewInts; IntCell; HasItem[int]; ReadsItem[int]; Box[int]
        NewTask[[int], str]; NewTask[[bool], str]; NewTask[..., str]; NewArray[int, str]; NewArray[int, bool]; NewArray[int]
        NewTuple[int]; NewTuple[bool]; tuple[int]; NewPage[int]; NewPage[str]
    """,
    "type statements": """
        NewJson; NewJson2; dict[str, NewJson]; list[NewJson2]; list[NewJson]; NewList[int]; NewList[bool]; list[int]; NewId; int
        bool; NewTree; tuple[int, tuple[int, int]]; tuple[NewTree, ...]; tuple[str, int]; Sequence[NewId]; dict[str, int]
        dict[str, str]; Json; str
    """,
}
