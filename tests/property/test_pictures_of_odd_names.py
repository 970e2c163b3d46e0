"""Whatever stages are called: a picture is well-formed, says it all and overlaps nowhere; a flowchart is not broken."""

import re
from html import unescape

from hypothesis import given
from hypothesis import strategies as st

from chainpump import Inline, Pipeline
from chainpump.messages.printable import printable
from support.pictures import SVG, Picture

NAMES = st.lists(st.text(st.characters(codec=None), min_size=1, max_size=80), min_size=1, max_size=4)
# A node or an arrow, and no sign astray.
LINE = re.compile(r'    s\d+(?: -->\|"[^"|\[\]]*"\| s\d+|\["[^"|\[\]]*"\])')


def chain_of(names: list[str]) -> Pipeline[int]:
    pipeline = Pipeline(range(3), name="numbers")
    for name in names:
        pipeline = pipeline.map(abs, name=name, on=Inline())
    return pipeline


@given(NAMES)
def test_any_name_is_in_the_picture_and_nothing_overlaps(names: list[str]) -> None:
    picture = Picture(chain_of(names).plan().svg())
    found = [line for line, kind in zip(picture.lines(), picture.kinds(), strict=True) if kind == "name"]
    assert found == ["numbers", *map(printable, names), "iteration"]
    assert picture.root.findtext(f"{SVG}title") == " → ".join(found)
    assert list(picture.collisions()) == []


@given(NAMES)
def test_any_name_is_in_the_flowchart_and_breaks_none_of_its_lines(names: list[str]) -> None:
    head, *lines = chain_of(names).plan().mermaid().splitlines()
    assert head == "flowchart TD"
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    nodes = [line[line.index('"') + 1 :] for line in lines if "-->" not in line]
    found = [unescape(re.sub(r"#(\d+);", r"&#\1;", each.partition("<br/>")[0])).replace("\u200b", "") for each in nodes]
    assert found == ["numbers", *map(printable, names), "iteration"]
