"""Interprets pickles without importing or calling anything that they name.

A pickle is a program for a stack machine that can import and call any function. This interpreter reads the same opcodes
(:func:`pickletools.genops`) but imports nothing: a name in the pickle is replaced by one of the constructors of the
caller, plain functions that check their arguments. Numbers, strings, bytes, lists, tuples and dictionaries are built;
all other opcodes are refused. The number of opcodes and the sizes of the constructed values are bounded, so that a
small pickle cannot become a large value.
"""

import pickletools
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any

from .archives import BoundedReader

__all__ = ["Name", "Shell", "interpret", "ordered", "replace_shells"]

OPCODES = 200_000
"""The largest number of opcodes in one pickle; published networks have about ten thousand."""

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_VALUES = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_EMPTY = {"EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_DICT": dict}
_KEYS = (str, int, float, bool, bytes, type(None))


class Name:
    """A global name in a pickle.

    Arguments:
        text: The name.
        construct: The function that replaces a call of it.
    """

    def __init__(self, text: str, construct: Callable[..., Any]) -> None:
        self.text, self.construct = text, construct


class Shell:
    """A value that is built in several steps; :func:`replace_shells` replaces it by the final value."""

    def set_state(self, state: Any) -> None:
        """Sets the state that the pickle contains."""
        raise UnpicklingError("it sets the state of a value without one")

    def final(self) -> Any:
        """Returns the value."""
        raise NotImplementedError


def interpret(
    file: BoundedReader,
    find: Callable[[str, str], Callable[..., Any]],
    persistent: Callable[[Any], Any] | None = None,
) -> Any:
    """Interprets one pickle.

    Arguments:
        file: The stream, read to the end of the pickle.
        find: Returns the constructor for a name of a module, or raises UnpicklingError.
        persistent: Returns the value of a persistent identifier; by default these are refused.

    Returns:
        The value, which may contain instances of :class:`Shell`.

    Raises:
        UnpicklingError: If the pickle contains anything that is refused.
        Exception: Any exception that a damaged pickle causes.
    """
    stack: list[Any] = []
    outer: list[list[Any]] = []  # the stacks below each mark
    memo: dict[int, Any] = {}
    names: dict[tuple[str, str], Name] = {}

    def since_mark() -> list[Any]:
        nonlocal stack
        items, stack = stack, outer.pop()
        return items

    def name(module: str, attribute: str) -> Name:
        if (module, attribute) not in names:
            if type(module) is not str or type(attribute) is not str:
                raise UnpicklingError("a name is not a string")
            names[module, attribute] = Name(f"{module}.{attribute}", find(module, attribute))
        return names[module, attribute]

    for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):  # type: ignore[arg-type]
        if count >= OPCODES:
            raise UnpicklingError(f"it has more than {OPCODES} opcodes")
        code = opcode.name
        if code in _VALUES:
            stack.append(argument)
        elif code in _CONSTANTS:
            stack.append(_CONSTANTS[code])
        elif code in _EMPTY:
            stack.append(_EMPTY[code]())
        elif code in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]  # type: ignore[index]
        elif code == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif code in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[argument])  # type: ignore[index]
        elif code == "MARK":
            outer.append(stack)
            stack = []
        elif code in ("TUPLE", "LIST", "DICT"):
            items = since_mark()
            stack.append(tuple(items) if code == "TUPLE" else items if code == "LIST" else _pairs({}, items))
        elif code in ("TUPLE1", "TUPLE2", "TUPLE3"):
            size = int(code[-1])
            if len(stack) < size:
                raise UnpicklingError("the stack is empty")
            stack[-size:] = [tuple(stack[-size:])]
        elif code in ("APPEND", "APPENDS"):
            items = [stack.pop()] if code == "APPEND" else since_mark()
            _of_type(stack[-1], list).extend(items)
        elif code in ("SETITEM", "SETITEMS"):
            items = [stack.pop(-2), stack.pop()] if code == "SETITEM" else since_mark()
            _pairs(_of_type(stack[-1], dict), items)
        elif code == "GLOBAL":
            stack.append(name(*argument.split(" ", 1)))  # type: ignore[union-attr]
        elif code == "STACK_GLOBAL":
            attribute = stack.pop()
            stack.append(name(stack.pop(), attribute))
        elif code in ("REDUCE", "NEWOBJ"):
            arguments = _of_type(stack.pop(), tuple)
            stack.append(_of_type(stack.pop(), Name).construct(*arguments))
        elif code == "BUILD":
            state = stack.pop()
            if isinstance(stack[-1], Shell):
                stack[-1].set_state(state)
            elif type(stack[-1]) is not dict:  # the attributes of an ordered dictionary are ignored
                raise UnpicklingError("it sets the state of a value without one")
        elif code == "BINPERSID" and persistent is not None:
            stack.append(persistent(stack.pop()))
        elif code == "POP":
            stack.pop()
        elif code == "POP_MARK":
            since_mark()
        elif code == "STOP":
            return stack.pop()
        elif code not in ("PROTO", "FRAME"):
            raise UnpicklingError(f"it has the opcode {code}")
    raise UnpicklingError("it does not end")


def replace_shells(value: Any, done: dict[int, tuple[Any, Any]] | None = None) -> Any:
    """Returns `value` with each :class:`Shell` replaced by its final value.

    Raises:
        UnpicklingError: If a name was not called.
        RecursionError: If containers are nested too deeply.
    """
    done = {} if done is None else done
    if id(value) in done:
        return done[id(value)][1]
    found = value
    if isinstance(value, Name):
        raise UnpicklingError(f"it contains {value.text}, which is not called")
    if isinstance(value, list | dict):
        done[id(value)] = value, value
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            value[key] = replace_shells(item, done)
    elif isinstance(value, tuple):
        found = tuple(replace_shells(item, done) for item in value)
    elif isinstance(value, Shell):
        found = value.final()
    if found is not value:
        done[id(value)] = value, found  # the old value is kept, so that its id is not reused
    return found


def ordered(pairs: Any = ()) -> dict[Any, Any]:
    """Returns the value of `collections.OrderedDict(pairs)` as a plain dictionary."""
    if type(pairs) not in (list, tuple) or any(type(pair) not in (list, tuple) for pair in pairs):
        raise UnpicklingError("an ordered dictionary does not consist of pairs")
    return _pairs({}, [item for key, value in pairs for item in (key, value)])


def _of_type(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise UnpicklingError(f"found a {type(value).__name__} in the place of a {kind.__name__}")
    return value


def _pairs(target: dict[Any, Any], items: list[Any]) -> dict[Any, Any]:
    """Adds alternating keys and values to a dictionary."""
    for key, item in zip(items[::2], items[1::2], strict=True):
        if type(key) not in _KEYS:
            raise UnpicklingError(f"a {type(key).__name__} is the key of a dictionary")
        target[key] = item
    return target
