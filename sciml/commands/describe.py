"""``sciml models`` and its like: list components without importing them, or describe one."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sciml.registry import Entry, registry

__all__ = ["arguments_text", "dataset_listing", "describe", "listing", "plain_doc", "summary"]


def listing(kind: str) -> str:
    """One line for every component of a kind: name, first line of its documentation, distribution."""
    entries = registry(kind)
    if not entries:
        return f"no {kind} are installed"
    width = max(len(name) for name in entries) + 2
    lines = []
    for name, entry in entries.items():
        cause = entry.error or _why_unavailable(entry)
        text = f"not available: {cause}" if cause else summary(entry)
        origin = "" if entry.dist in ("sciml", "") else f"  [{entry.dist} {entry.version}]"
        lines.append(f"{name:{width}s}{text}{origin}")
    return "\n".join(lines)


def dataset_listing(cards: Mapping[str, Mapping[str, Any]]) -> str:
    """One line for every dataset: name, and the title of its card or why the card cannot be read."""
    entries = registry("datasets")
    lines = []
    for name, card in cards.items():
        text = f"not available: {card['error']}" if "error" in card else card.get("title", "")
        if not text and name in entries:
            text = summary(entries[name]) or str(card.get("source", ""))
        lines.append(f"{name:{max(map(len, cards)) + 2}s}{text}".rstrip())
    return "\n".join(lines) or "no datasets found"


def _why_unavailable(entry: Entry) -> str:
    """A module that is not there is seen without an import."""
    module = entry.value.partition(":")[0].strip()
    try:
        missing = bool(entry.dist) and _source(module) is None and find_spec(module.partition(".")[0]) is None
    except (ImportError, ValueError):
        missing = True
    return f"there is no module {module}; reinstall {entry.dist}" if missing else ""


def summary(entry: Entry) -> str:
    """First line of a component's docstring, read from its source without importing it; empty when not found."""
    module, _, attribute = entry.value.partition(":")
    try:
        return _first_line(module, attribute.split(".")[0], depth=0)
    except (OSError, SyntaxError, ValueError, ImportError):
        return ""


def _source(module: str) -> Path | None:
    top, *rest = module.split(".")
    spec = find_spec(top)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent.joinpath(*rest) if rest else Path(spec.origin)
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py", path) if p.is_file()), None)


def _first_line(module: str, name: str, depth: int) -> str:
    path = _source(module)
    if path is None or depth > 4:
        return ""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return _plain_text((ast.get_docstring(node) or "").partition("\n")[0])
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _first_line(node.module, alias.name, depth + 1)
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if isinstance(value, ast.Call) and any(isinstance(t, ast.Name) and t.id == name for t in targets):
            # NAME = ModelSpec(build=..., ...): what it builds says what it is.
            built = next((k.value for k in value.keywords if k.arg == "build"), value.args[0] if value.args else None)
            if isinstance(built, ast.Name | ast.Attribute):
                return _first_line(module, ast.unparse(built).split(".")[0], depth + 1)
    return ""


def describe(kind: str, name: str) -> str:
    """Documentation, arguments, origin and, for a model, size and cost of one component."""
    entry = registry(kind)[name]
    loaded = registry(kind).load(name)
    build = getattr(loaded, "build", loaded)
    origin = f"{entry.dist} {entry.version}" if entry.dist else "registered in this process"
    parts = [
        f"{kind.removesuffix('s')} {name}: {entry.value} ({origin})",
        plain_doc(inspect.getdoc(build) or "") or "no documentation",
    ]
    if callable(build):
        parts.append(f"arguments:\n{arguments_text(build)}")
    licence = _licence(entry)
    if licence:
        parts.append(f"licence: {licence}")
    if kind == "models":
        parts.append(_model_size(name))
    return "\n\n".join(part for part in parts if part)


def _licence(entry: Entry) -> str:
    from importlib import metadata

    if not entry.dist:
        return ""
    info: Mapping[str, Any] = metadata.metadata(entry.dist)  # type: ignore[assignment]
    return str(info.get("License-Expression") or info.get("License") or "")


def arguments_text(build: Callable[..., Any], explain: bool = False) -> str:
    """One line for each argument: name, type, default, and with ``explain`` the sentence of the docstring."""
    explanations = _explanations(inspect.getdoc(build) or "") if explain else {}
    lines = []
    for name, parameter in inspect.signature(build).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        default = "required" if parameter.default is inspect.Parameter.empty else f"default {parameter.default!r}"
        lines.append(f"  {name:20s} {_type_text(parameter.annotation):32s} {default}".rstrip())
        if name in explanations:
            lines.append(f"      {explanations[name]}")
    return "\n".join(lines) or "  none"


def _type_text(annotation: Any) -> str:
    if annotation is inspect.Parameter.empty:
        return ""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return text.replace("typing.", "").replace("collections.abc.", "")


def _explanations(doc: str) -> dict[str, str]:
    """The ``Args`` section of a Google docstring: argument to text, in one line."""
    section = doc.partition("\nArgs:\n")[2]
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if line and not line.startswith("    "):
            break
        if start := re.match(r"    (\w+): (.*)", line):
            name = start[1]
            found[name] = start[2]
        elif name and line.strip():
            found[name] += f" {line.strip()}"
    return {key: _plain_text(text) for key, text in found.items()}


def _plain_text(text: str) -> str:
    """Without the roles, quotes and formulas of reStructuredText.

    Example:
        >>> _plain_text(r"The width :math:`p \\in [0, 1)` of ``branch``, see :class:`~torch.nn.Module`.")
        'The width p in [0, 1) of branch, see torch.nn.Module.'
    """
    text = re.sub(r":math:`([^`]*)`", lambda found: _plain_formula(found[1]), text)
    text = re.sub(r":[\w:]+:`~?([^`<]*?)(?:\s*<[^`]*>)?`", r"\1", text)
    return text.replace("``", "").replace("**", "")


_COMMANDS = {
    "mapsto": "->", "to": "->", "rightarrow": "->", "leftarrow": "<-", "leq": "<=", "le": "<=", "geq": ">=", "ge": ">=",
    "neq": "!=", "cdot": "*", "times": "x", "odot": "*", "approx": "~", "sim": "~", "infty": "inf", "ldots": "...",
    "dots": "...", "cdots": "...", "circ": "o", "partial": "d", "nabla": "grad", "int": "integral", "langle": "<",
    "rangle": ">",
} | dict.fromkeys(("quad", "qquad"), " ")  # fmt: skip
_COMMANDS |= dict.fromkeys(("left", "right", "big", "Big", "bigl", "bigr", "bigg", "displaystyle"), "")


def _plain_formula(formula: str) -> str:
    """A LaTeX formula as one types it: commands become words, groups parentheses only where they are needed.

    Example:
        >>> _plain_formula(r"\\frac{u - \\mu}{\\sigma} + \\mathrm{GELU}(W_{1} \\, h)")
        '(u - mu)/(sigma) + GELU(W_1 h)'
    """
    group = r"\{((?:[^{}]|\{[^{}]*\})*)\}"
    text = " ".join(formula.split())
    text = re.sub(r"\\(?:mathrm|mathbf|mathbb|mathcal|mathsf|text|operatorname|boldsymbol|bm)\s*" + group, r"\1", text)
    text = re.sub(r"\\(?:bar|hat|tilde|vec|overline)\s*(?:" + group + r"|\\?(\w+))", lambda m: m[1] or m[2], text)
    for _ in range(2):  # a fraction within a fraction
        text = re.sub(r"\\[dt]?frac\s*" + group + r"\s*" + group, r"(\1)/(\2)", text)
        text = re.sub(r"\\sqrt\s*" + group, r"sqrt(\1)", text)
    text = re.sub(r"([_^])\{([^{}\s]{1,2})\}", r"\1\2", text)
    text = re.sub(r"([_^])\{([^{}]*)\}", r"\1(\2)", text)
    text = text.replace("\\|", "||").replace("\\\\", "; ").replace("&", "")
    text = re.sub(r"\\[,;:! ]", " ", text)
    text = re.sub(r"\\([{}_%#$])", r"\1", text)
    text = re.sub(r"\\([A-Za-z]+)", lambda found: _COMMANDS.get(found[1], found[1]), text)
    text = re.sub(r"(?<!\\)[{}]", "", text)
    return " ".join(text.split())


def plain_doc(doc: str) -> str:
    """A docstring as plain text: no directives, roles or LaTeX, and none of its examples."""
    doc = re.split(r"(?m)^Example:\n", doc)[0]

    def block(found: re.Match[str]) -> str:
        return f"\n{found[1]}    {_plain_formula(found[2])}\n"

    doc = re.sub(r"(?m)^\n?([ ]*)\.\. math::[ ]*((?:.*)(?:\n(?:\1[ ]+.+|[ ]*(?=\n\1[ ]{3,}\S)))*)\n?", block, doc)
    return _plain_text(re.sub(r"\n{3,}", "\n\n", doc)).strip()


_SIZES = {
    "parameters": "real numbers that are trained; a complex parameter counts as two",
    "bytes": "memory of parameters and buffers",
    "flops": "floating-point operations of one forward pass on the example",
}


def _model_size(name: str) -> str:
    """Parameters, bytes and floating-point operations on the model's example."""
    from sciml.nn import model_complexity
    from sciml.registry import model_spec

    spec = model_spec(name)
    if spec.example is None:
        return ""
    arguments, batch = spec.example()
    cost = model_complexity(spec.build(**arguments), batch, spec.inputs)
    shown = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    return f"example ({shown}):\n" + "\n".join(
        f"  {key:24s} {value:<12d} {_SIZES.get(key, '')}".rstrip() for key, value in cost.items()
    )
