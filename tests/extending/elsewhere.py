"""What a stage of these tests runs on another Python, which has none of the packages of the tests."""

import sys

import chainpump


def prefix(_: int) -> str:
    return sys.prefix


def found_in(_: int) -> str:
    return str(chainpump.__file__)
