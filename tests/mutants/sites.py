"""Where a source can be changed by one constant or one comparison, and the source with that change."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import attrs

__all__ = ["Mutant", "mutants_of"]

_OPPOSITES: dict[type[ast.cmpop], tuple[str, type[ast.cmpop], str]] = {
    ast.Lt: ("<", ast.LtE, "<="),
    ast.LtE: ("<=", ast.Lt, "<"),
    ast.Gt: (">", ast.GtE, ">="),
    ast.GtE: (">=", ast.Gt, ">"),
    ast.Eq: ("==", ast.NotEq, "!="),
    ast.NotEq: ("!=", ast.Eq, "=="),
    ast.Is: ("is", ast.IsNot, "is not"),
    ast.IsNot: ("is not", ast.Is, "is"),
    ast.In: ("in", ast.NotIn, "not in"),
    ast.NotIn: ("not in", ast.In, "in"),
}


@attrs.frozen(kw_only=True)
class Mutant:
    """One change.

    Args:
        file: From the root of the project.
        line: 1-based.
        code: The line as it is, without its indentation.
        column: 0-based, of the expression that is changed.
        change: Such as ``5.0 -> 0``.
        operand: Which comparison of a chain is changed; -1: a constant.
        value: In a constant's place.
        names: Module-level names whose value this changes; their uses say which tests may notice.
        function: Qualified name and first line of the outermost function in whose body it is; None: it takes effect on import.
    """

    file: str
    line: int
    code: str
    column: int
    change: str
    operand: int = -1
    value: object = None
    names: frozenset[str] = frozenset()
    function: tuple[str, int] | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.change}: {self.code}"

    @property
    def key(self) -> tuple[str, str, str]:
        """What it goes by where the lines above it change."""
        return (self.file, self.code, self.change)

    def tree(self, source: str) -> ast.Module:
        """The source with this change."""
        tree = ast.parse(source)
        for node in ast.walk(tree):
            at = (getattr(node, "lineno", 0), getattr(node, "col_offset", -1))
            if at != (self.line, self.column):
                continue
            if self.operand < 0 and isinstance(node, ast.Constant):
                node.value = self.value  # type: ignore[assignment] # whatever a constant may be
                return tree
            if self.operand >= 0 and isinstance(node, ast.Compare):
                node.ops[self.operand] = _OPPOSITES[type(node.ops[self.operand])][1]()
                return tree
        raise LookupError(f"{self} is not there")


def mutants_of(root: Path, file: str) -> Iterator[Mutant]:
    """Every change of one constant or one comparison in a file, in the order of its lines."""
    seen = Counter[tuple[str, str, str]]()
    for mutant in sorted(_found(root, file), key=lambda one: (one.line, one.column, one.operand)):
        seen[mutant.key] += 1
        time = seen[mutant.key]
        yield mutant if time == 1 else attrs.evolve(mutant, change=f"{mutant.change} (no. {time})")


def _found(root: Path, file: str) -> Iterator[Mutant]:
    source = (root / file).read_text(encoding="utf-8")
    lines = source.splitlines()
    tree = ast.parse(source)
    kept = {id(node) for node in _kept(tree)}
    inside = dict(_inside(tree.body, ""))
    for statement in tree.body:
        names = _assigned(statement)
        for node in ast.walk(statement):
            if id(node) in kept:
                continue
            for change in _changes(node):
                yield Mutant(
                    file=file,
                    line=node.lineno,  # type: ignore[attr-defined] # an expression
                    column=node.col_offset,  # type: ignore[attr-defined] # as above
                    code=lines[node.lineno - 1].strip(),  # type: ignore[attr-defined] # as above
                    names=names,
                    function=inside.get(id(node)),
                    **change,
                )


def _inside(body: list[ast.stmt], path: str) -> Iterator[tuple[int, tuple[str, int]]]:
    """By id, every node in the body of a function with that function."""
    for statement in body:
        if isinstance(statement, ast.ClassDef):
            yield from _inside(statement.body, f"{path}{statement.name}.")
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([statement.lineno, *(one.lineno for one in statement.decorator_list)])
            for inner in statement.body:
                for node in ast.walk(inner):
                    yield id(node), (f"{path}{statement.name}", first)


def _kept(tree: ast.Module) -> Iterator[ast.AST]:
    """What is not worth changing: annotations, and what only a type checker or a reader sees."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            yield from ast.walk(node.annotation)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for decorator in node.decorator_list:
                yield from ast.walk(decorator)
            if node.returns is not None:
                yield from ast.walk(node.returns)
        if isinstance(node, ast.ClassDef):
            for decorator in node.decorator_list:
                yield from ast.walk(decorator)
        if isinstance(node, ast.JoinedStr):  # what a text looks like
            yield from ast.walk(node)


def _assigned(statement: ast.stmt) -> frozenset[str]:
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return frozenset(target.id for target in targets if isinstance(target, ast.Name))


def _changes(node: ast.AST) -> Iterator[dict[str, object]]:
    if isinstance(node, ast.Compare):
        for index, operator in enumerate(node.ops):
            before, _, after = _OPPOSITES[type(operator)]
            yield {"change": f"{before} -> {after}", "operand": index}
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield {"change": f"{node.value} -> {not node.value}", "value": not node.value}
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        for value in (0, node.value + 1) if node.value else (1,):
            yield {"change": f"{node.value} -> {value}", "value": value}
