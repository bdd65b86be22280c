"""Find uses of private names of sciml in source code, without running it."""

import ast
from collections.abc import Iterator

__all__ = ["private_uses"]


def private_uses(source: str) -> list[str]:
    """Where Python source uses a name of sciml that starts with an underscore.

    Imports count, and attributes of what was imported from sciml; scopes of local names are not told apart.

    Args:
        source: Text of a Python file.

    Returns:
        One ``line 3: sciml.train._hidden`` per use, in the order of the lines.

    Raises:
        SyntaxError: If the text is not Python.

    Example:
        >>> private_uses("from sciml.train import Task, _hidden")
        ['line 1: sciml.train._hidden']
    """
    nodes = list(ast.walk(ast.parse(source)))
    imports = [found for node in nodes for found in _imports(node)]
    bound = {local: target for _, _, local, target in imports}
    paths = [(line, path) for line, path, _, _ in imports]
    paths += [found for node in nodes if (found := _attribute(node, bound)) is not None]
    private = {(line, short) for line, path in paths if (short := _up_to_private(path)) is not None}
    return [f"line {line}: {path}" for line, path in sorted(private)]


def _imports(node: ast.AST) -> Iterator[tuple[int, str, str, str]]:
    """Line, full path, local name and what the local name stands for, of each import from sciml."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if _in_sciml(alias.name):
                # "import sciml.train" binds sciml; "import sciml.train as t" binds the module itself.
                yield node.lineno, alias.name, alias.asname or "sciml", alias.name if alias.asname else "sciml"
    elif isinstance(node, ast.ImportFrom) and node.level == 0 and _in_sciml(node.module or ""):
        for alias in node.names:
            path = f"{node.module}.{alias.name}"
            yield node.lineno, path, alias.asname or alias.name, path


def _in_sciml(module: str) -> bool:
    return module.split(".")[0] == "sciml"


def _attribute(node: ast.AST, bound: dict[str, str]) -> tuple[int, str] | None:
    """Line and full path of ``a.b.c`` where ``a`` was imported from sciml."""
    if not isinstance(node, ast.Attribute):
        return None
    parts: list[str] = []
    root: ast.expr = node
    while isinstance(root, ast.Attribute):
        parts.append(root.attr)
        root = root.value
    if not isinstance(root, ast.Name) or root.id not in bound:
        return None
    return node.lineno, ".".join([bound[root.id], *reversed(parts)])


def _up_to_private(path: str) -> str | None:
    """The path up to its first private part, or None without one; ``__version__`` and its like are public."""
    parts = path.split(".")
    for position, part in enumerate(parts):
        if part.startswith("_") and not part.endswith("__"):
            return ".".join(parts[: position + 1])
    return None
