"""Where a notebook's cells define a function, and what of its cell the function needs: for `check` as for the grade.

Cells are taken apart as text; nothing in them is run.
"""

from __future__ import annotations
import __future__

import ast
import re
import warnings
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import CodeType

from .names import bound_names, global_names, looked_up, outside

MAGIC_AT_MOST = 50_000  # characters of a cell that IPython's magics are taken off: it reads it anew for each of them
NO_PYTHON = set("bash sh script system sx ! cmd html HTML svg SVG javascript js latex markdown writefile file".split())
NO_PYTHON |= set("perl ruby python python2 python3 pypy cython R sql".split())  # or not in this namespace
KERNEL = {"display", "exit", "get_ipython", "quit"}  # names that every kernel has
SHOWING = {"check", "display", "help", "input", "plt", "print"}  # whose calls change nothing that a function needs
FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
WITHOUT_HINTS = FLAGS | __future__.annotations.compiler_flag
NO_HINTS = "from __future__ import annotations\n"
UNREADABLE = (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError)
BLOCKS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
LOOPS = (ast.For, ast.AsyncFor, ast.While)


@dataclass(frozen=True)
class Part:
    """What of a cell one function needs: the cell with every other statement taken out, the rest byte for byte.

    `outside`: names that the function needs and that neither the cell nor the setup cell binds. `imports`: names that
    the part imports, and the modules that they are or are from. `stars`: modules from which the cell imports `*`.
    """

    source: str
    outside: tuple[str, ...] = ()
    imports: Mapping[str, str] = field(default_factory=dict)
    stars: tuple[str, ...] = ()


def part_of(text: str, name: str, setup: Container[str]) -> Part | None:
    """What of the cell `text` its function `name` needs, where `setup` are the names of the setup cell.

    None where the cell is not Python, or does not define it. Kept are the statements that bind or change what the
    function uses, and what they use in turn. A type hint may name what is not there.
    """
    python = python_of(text)
    if python is None or name not in definitions(text):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        statements = [Statement(node, name) for node in ast.parse(python).body]
    kept = _needed(statements, name)
    there = [*set[str]().union(*(statement.binds for statement in kept)), *KERNEL]
    used = set[str]().union(*(statement.uses for statement in kept))
    hints = set[str]().union(*(statement.hints for statement in kept)) - used
    missing = [other for other in outside(used, there) if other not in setup]
    stars = tuple(statement.star for statement in statements if statement.star)
    if missing and stars:
        kept += [statement for statement in statements if statement.star]
    stays = {id(statement) for statement in kept}
    source = _without([statement.node for statement in statements if id(statement) not in stays], python)
    if any(other not in setup for other in outside(hints, there)):
        source = NO_HINTS + source
    imports = {name: module for statement in kept for name, module in _imported(statement.node)}
    return Part(source, tuple(missing), imports, stars)


@lru_cache(maxsize=1024)
def definitions(text: str) -> Mapping[str, str]:
    """Names to which a cell gives a value that may be a function: by a definition, an import, or an assignment.

    With each name goes what its function does where that ends in `raise NotImplementedError`, so that a stub is known.
    A name that is assigned something made of its own value (`f = f(x)`) in another cell than its definition is left
    out, and so is data.
    """
    python, found = python_of(text), dict[str, str]()
    if python is None:
        return found
    for node in _top(python):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found[node.name] = _stub(node)
        elif isinstance(node, ast.ClassDef):
            found[node.name] = ""
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {name: "" for name, _ in _imported(node)}
        else:
            found |= {name: "" for name, value in _assigned(node) if name in found or not _uses(value, name)}
    return found


def _top(python: str, loops: bool = False) -> Iterator[ast.stmt]:
    """The statements of a cell, and those in their branches."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        body = ast.parse(python).body
    for statement in body:
        yield from _inside(statement, loops)


@lru_cache(maxsize=64)
def python_of(text: str) -> str | None:
    """A cell as Python, without IPython's magics; None where it is not Python, with or without them."""
    text = re.sub(r"\r\n?", "\n", text)
    while match := re.match(r"\s*%%(\S+).*\n?", text):
        if match[1] in NO_PYTHON:
            return None
        text = text[match.end() :]
    if _parses(text):
        return text
    if len(text) > MAGIC_AT_MOST:
        return None
    from IPython.core.inputtransformer2 import TransformerManager

    try:
        text = TransformerManager().transform_cell(text)
    except Exception:  # it gives up on what is far from Python in many ways
        return None
    return text if _parses(text) else None


def _parses(text: str) -> bool:
    """Whether `text` is Python, and not nested so deeply that it cannot be taken apart."""
    try:
        for _ in _top(text, loops=True):
            pass
    except UNREADABLE:
        return False
    return True


class Statement:
    """A statement at the top of a cell, seen from its function `name`.

    `binds`: names to which it gives a value. `changes`: those that hold what it assigns to a part of. `may_change`:
    those whose methods it calls, or that it hands to a call; if they hold data, these may change it. `uses`: names that
    it looks up outside itself; `hints`: only in type hints; `loads`: all, also those that it binds later.
    """

    def __init__(self, node: ast.stmt, name: str) -> None:
        self.node = node
        self.binds, self.uses, self.hints, self.loads = set[str](), set[str](), set[str](), set[str]()
        self.changes, self.may_change = set[str](), set[str]()
        for inner in _inside(node):
            self.changes |= _assigns_to_part_of(inner)
            self.may_change |= _calls_with(inner, name)
        star = isinstance(node, ast.ImportFrom) and node.names[0].name == "*"
        self.star = (node.module or "") if star and isinstance(node, ast.ImportFrom) else ""
        self.always = isinstance(node, ast.ImportFrom) and node.module == "__future__"
        code, with_hints = _compiled(node, WITHOUT_HINTS), _compiled(node, FLAGS)
        if code is None or with_hints is None or self.star:  # such as a `return`: IPython runs what stands before it
            return
        self.binds, self.uses = bound_names(code), global_names(code)
        self.loads = looked_up(with_hints)  # in a class body more than it looks up outside
        self.hints = global_names(with_hints) - self.uses


def _needed(statements: Sequence[Statement], name: str) -> list[Statement]:
    """Those statements that the function `name` needs, in order."""
    nodes = {bound: statement.node for statement in statements for bound in statement.binds}
    no_data = (*BLOCKS, ast.Import, ast.ImportFrom)
    data = {bound for bound, node in nodes.items() if not isinstance(node, no_data)} - {name}
    serving: dict[str, list[int]] = {}
    for number, statement in enumerate(statements):
        for served in statement.binds | statement.changes | (statement.may_change & data):
            serving.setdefault(served, []).append(number)
    todo, names = [name], {name}
    needed = {number for number, statement in enumerate(statements) if statement.always}
    while todo:
        for number in serving.get(todo.pop(), ()):
            if number not in needed:
                needed.add(number)
                more = (statements[number].loads & nodes.keys()) - names
                names |= more
                todo += more
    return [statements[number] for number in sorted(needed)]


def _assigns_to_part_of(node: ast.stmt) -> set[str]:
    """Names in whose value a statement assigns to a part: `table[3] = x`, `del table[3]`, `table.rows += 1`."""
    targets: Sequence[ast.expr] = ()
    if isinstance(node, (ast.Assign, ast.Delete)):
        targets = node.targets
    elif isinstance(node, (ast.AugAssign, ast.AnnAssign)):
        targets = [node.target]
    return {_root(target) for target in targets if not isinstance(target, ast.Name)} - {""}


def _calls_with(node: ast.stmt, name: str) -> set[str]:
    """Names whose method a statement calls, or that it hands to a call; not where that only shows or tries out."""
    call = node.value if isinstance(node, ast.Expr) else None
    call = call.value if isinstance(call, ast.Await) else call
    if not isinstance(call, ast.Call):
        return set()
    owner, method = _root(call.func), call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if owner in SHOWING or owner == name or method.startswith("assert"):
        return set()
    handed = {_root(value) for value in (*call.args, *(keyword.value for keyword in call.keywords))}
    return (handed | ({owner} if method else set())) - {""}


def _root(node: ast.expr) -> str:
    """The name that an expression such as `table[3].rows` starts from; empty where there is none."""
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Starred)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _inside(statement: ast.stmt, loops: bool = True) -> Iterator[ast.stmt]:
    """The statement and those in its branches, and in its loops, in order; not those of functions and classes."""
    yield statement
    if isinstance(statement, BLOCKS) or (isinstance(statement, LOOPS) and not loops):
        return
    for branch in ("body", "handlers", "cases", "orelse", "finalbody"):
        for part in getattr(statement, branch, ()):
            for inner in [part] if isinstance(part, ast.stmt) else part.body:
                yield from _inside(inner, loops)


def _imported(node: ast.stmt) -> Iterator[tuple[str, str]]:
    """Names that an import binds, and the modules that they are or are from."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        for alias in node.names:
            module = alias.name if isinstance(node, ast.Import) else node.module or ""
            yield alias.asname or alias.name.partition(".")[0], module


def _assigned(node: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    """Names that a statement assigns something that may be a function, not data: with what it assigns."""
    value = getattr(node, "value", None)
    if isinstance(node, ast.Expr) and isinstance(value, ast.NamedExpr):
        targets: list[ast.expr] = [value.target]
        value = value.value
    elif isinstance(node, ast.Assign):
        targets = node.targets
    else:
        targets = [node.target] if isinstance(node, ast.AnnAssign) else []
    may_be = (ast.Lambda, ast.Name, ast.Attribute, ast.Call, ast.Subscript, ast.IfExp, ast.BoolOp, ast.NamedExpr)
    if isinstance(value, may_be):
        for target in targets:
            if isinstance(target, ast.Name):
                yield target.id, value


def _uses(value: ast.expr, name: str) -> bool:
    """Whether an expression looks up `name` when it is evaluated, not only when a lambda in it is called."""
    todo: list[ast.AST] = [value]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Name) and node.id == name:
            return True
        if not isinstance(node, ast.Lambda):
            todo += ast.iter_child_nodes(node)
    return False


def _stub(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    last = node.body[-1]
    if not (isinstance(last, ast.Raise) and isinstance(last.exc, ast.Name) and last.exc.id == "NotImplementedError"):
        return ""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    try:
        return "\n".join(map(ast.dump, body))
    except RecursionError:  # no stub of ours
        return ""


def _compiled(node: ast.stmt, flags: int) -> CodeType | None:
    try:
        return compile(ast.Module([node], []), "cell", "exec", flags, dont_inherit=True)
    except UNREADABLE:
        return None


def _without(dropped: Sequence[ast.stmt], text: str) -> str:
    """`text` with `pass` in the place of these statements; every other line stays where it is."""
    lines = text.encode("utf-8", "surrogatepass").split(b"\n")
    for node in reversed(dropped):
        decorators = [decorator.lineno for decorator in node.decorator_list] if isinstance(node, BLOCKS) else []
        first, last = min([node.lineno, *decorators]) - 1, (node.end_lineno or node.lineno) - 1
        start = 0 if decorators else node.col_offset
        before, after = lines[first][:start], lines[last][node.end_col_offset :]
        lines[first : last + 1] = [b""] * (last - first + 1)
        lines[first] = before
        lines[last] = (before if first == last else b"") + b"pass" + after
    return b"\n".join(lines).decode("utf-8", "surrogatepass")
