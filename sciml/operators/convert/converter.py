"""The walk over a network: a rule for every module, copies of those that only call others."""

import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sciml.errors import ConversionError
from sciml.operators.convert.lattice import between_scales
from sciml.operators.convert.linear import as_function
from sciml.operators.convert.operator import Layout, OperatorModule, Row, reference_axes
from sciml.operators.convert.rules import MESSAGES, Place, Rule, describe, find_rule, reads_nodes
from sciml.operators.convert.site import ONE, Resolution, Run, Site
from sciml.operators.convert.trace import Finding, PointAxes, Trace, trace
from sciml.operators.convert.wrapper import ModuleWrapper
from sciml.spaces import Function, RegularGrid

__all__ = ["Converter", "Unknown"]

Unknown = Literal["error", "pointwise", "wrap"]


class Converter:
    """One conversion: the reference, what the user said, what the pass at the reference showed."""

    def __init__(
        self,
        model: nn.Module,
        reference: Any,
        conv: str | Mapping[str, str],
        resolution: Resolution,
        layout: Layout,
        roles: Mapping[str, str],
        rules: Mapping[type[nn.Module] | str, Rule],
        on_unknown: Unknown,
    ) -> None:
        self.model, self.function = model, reference if isinstance(reference, Function) else None
        circular = any(getattr(m, "padding_mode", "") == "circular" for m in model.modules())
        grid = reference.disc if isinstance(reference, Function) else reference
        if isinstance(grid, list | tuple | RegularGrid | int):
            self.reference, self.axes = reference_axes(grid, circular)
        else:
            raise ConversionError(
                f"reference is a {type(grid).__name__}, expected a RegularGrid, a shape, or the number of points."
            )
        self.forms = {"*": conv} if isinstance(conv, str) else dict(conv)
        self.resolution, self.layout, self.roles, self.rules = resolution, layout, dict(roles), rules
        self.on_unknown = on_unknown
        self.run = Run((ONE,) * len(self.axes))
        self.rows: list[Row] = []
        self.made: dict[int, nn.Module] = {}
        self.trace = Trace()

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.reference,) if isinstance(self.reference, int) else self.reference.shape

    def example(self, channels: int | None) -> Tensor:
        """A function at the reference: that of the user, or a random one."""
        if self.function is not None:
            values = self.function.values
            return values.movedim(-len(self.shape) - 1, -1) if self.layout == "channels-last" else values
        channels = channels or _channels(self.model)
        shape = (*self.shape, channels) if self.layout == "channels-last" else (channels, *self.shape)
        like = next(iter(self.model.parameters()), torch.zeros(()))
        noise = torch.randn((2, *shape), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        return noise.to(like)

    def can_refine(self, args: Sequence[Any]) -> bool:
        """Whether the network can be tried at twice the resolution: a function is its only argument."""
        return len(args) == 1 and (self.axes[0].kind != "cloud" or self.layout == "channels-last")

    def convert(self, args: tuple[Any, ...]) -> OperatorModule:
        names = {name for name, _ in self.model.named_modules()} | {name for name, _ in self.model.named_parameters()}
        for name in self.roles:
            if name not in names:
                raise ConversionError(f"roles names {name!r}, which is no module or parameter of the network.")
        try:
            self.trace = trace(self.model, args, {}, self.known, self._point_axes(args))
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            shapes = ", ".join(str(tuple(a.shape)) if isinstance(a, Tensor) else type(a).__name__ for a in args)
            raise ConversionError(
                f"the network fails at the reference, on an input of shape {shapes}: {str(error).rstrip('.')}. Give "
                "the reference, channels and layout it was made for, or its arguments: example=(...)."
            ) from error
        self._refuse(self.trace.findings)
        network = self.module(self.model, "")
        (call,) = self.trace.calls[""]
        return OperatorModule(
            network, self.model, self.reference, call, self.run, self.axes, self.layout, self.resolution, self.rows
        )

    def _point_axes(self, args: Sequence[Any]) -> PointAxes:
        dim, cloud = len(self.axes), self.axes[0].kind == "cloud"
        if cloud and isinstance(args[0], Tensor) and args[0].dim() == 2:
            return PointAxes(2, (0,), cloud)
        first = 2 if self.layout == "channels-first" else 1
        return PointAxes(dim + 2, tuple(range(first, first + dim)), cloud)

    def rule(self, path: str, module: nn.Module) -> Rule | None:
        """What becomes of a module; None for one that only calls others."""
        role = self.roles.get(path)
        if role == "pointwise":
            return Rule("pointwise, by its role")
        if role == "inside":
            return Rule("")
        if role == "wrap":
            return Rule("interpolation wrapper", self._wrap, "that of the interpolation")
        if role == "messages":
            if not reads_nodes(module):
                raise ConversionError(f"{path} is a {type(module).__name__}, which passes no messages.")
            return MESSAGES
        return find_rule(module, self.rules)

    def known(self, path: str, module: nn.Module) -> bool:
        """Whether a rule takes care of all that a module calls by itself."""
        return self.rule(path, module) is not None or not _is_container(module) or reads_nodes(module)

    def module(self, module: nn.Module, path: str) -> nn.Module:
        """The converted module; the same for a module that has several names."""
        if id(module) not in self.made:
            self.made[id(module)] = self._convert(module, path)
        return self.made[id(module)]

    def _convert(self, module: nn.Module, path: str) -> nn.Module:
        rule = self.rule(path, module)
        if rule is None and (reads_nodes(module) or not _is_container(module)):
            rule = self._unknown(module, path)
        if rule is None or not rule.whole:
            if rule is not None:
                own = sum(p.numel() for p in module.parameters(recurse=False))
                self.rows.append(Row(path, type(module).__name__, rule.name, rule.order, own))
            new = self._container(module, path)
            return new if rule is None or rule.convert is None else rule.convert(new, self.place(path))
        new = module if rule.convert is None else rule.convert(module, self.place(path))
        name, order = describe(new) or (rule.name, rule.order)
        count = sum(p.numel() for p in module.parameters())
        if name:
            self.rows.append(Row(path, type(module).__name__, name, order, count))
        return new

    def _container(self, module: nn.Module, path: str) -> nn.Module:
        new = module.__class__.__new__(module.__class__)
        new.__dict__ = {k: v.copy() if isinstance(v, dict) else v for k, v in module.__dict__.items()}
        prefix = f"{path}." if path else ""
        rule = self.rule(path, module)
        for name, role in (rule.roles if rule else {}).items():
            self.roles.setdefault(prefix + name, role)
        for name, child in module._modules.items():
            if child is not None:
                new._modules[name] = self.module(child, prefix + name)
        functions = [name for name in module._parameters if self.roles.get(prefix + name) == "function"]
        if functions:
            new.__class__ = self._with_functions(module, functions, path)
        return new

    def _with_functions(self, module: nn.Module, names: list[str], path: str) -> type[nn.Module]:
        properties = {name: self._function(module._parameters[name], name, path) for name in names}
        return type(type(module).__name__, (type(module),), properties)

    def _function(self, parameter: Tensor | None, name: str, path: str) -> property:
        if parameter is None:
            raise ConversionError(f"parameter {name!r} of {path!r} is None; it has no role.")
        site = Site(f"{path}.{name}", self.axes, self.run, self.resolution, [], self.shape)
        total = math.prod(self.shape)
        first = next((i for i, n in enumerate(parameter.shape) if n in range(total, total + 8)), None)
        if first is None:
            first = next(
                (i for i in range(parameter.dim()) if tuple(parameter.shape[i:])[: len(self.shape)] == self.shape), None
            )
        if first is None:
            raise ConversionError(
                f"parameter {site.path} has shape {tuple(parameter.shape)}, the reference {self.shape} points: no axis "
                "of it is that of the points."
            )

        def value(module: nn.Module) -> Tensor:
            own = module._parameters[name]
            assert own is not None
            assert first is not None
            counts = [int(axis.count(n, s)) for axis, n, s in zip(self.axes, self.shape, self.run.scale, strict=True)]
            return own if all(s == 1 for s in self.run.scale) else as_function(own, counts, site, self.shape, first)

        return property(value)

    def place(self, path: str) -> Place:
        site = Site(path, self.axes, self.run, self.resolution, self.trace.calls.get(path, []), self.shape)
        form = next((form for pattern, form in self.forms.items() if fnmatchcase(path, pattern)), "hat")
        role = self.roles.get(path)
        if role is None and self._makes_tokens(path):
            role = "patch"
        last = self.layout == "channels-last"
        return Place(path, site, form, role, self.trace, last)

    def _makes_tokens(self, path: str) -> bool:
        """Whether the output of a module is read as a sequence of tokens later on."""
        calls = self.trace.calls.get(path, [])
        if not calls or len(calls[0].output) != len(self.axes) + 2:
            return False
        _, width, *grid = calls[0].output
        tokens = math.prod(grid)
        later = [call.inputs for name, call in self.trace.order if name != path]
        return any(len(s) == 3 and s[2] == width and s[1] in range(tokens, tokens + 8) for s in later)

    def _unknown(self, module: nn.Module, path: str) -> Rule:
        if self.on_unknown == "pointwise":
            return Rule("pointwise, by on_unknown")
        if self.on_unknown == "wrap":
            return Rule("interpolation wrapper", self._wrap, "that of the interpolation")
        raise ConversionError(
            f"{path or 'the network'} is a {type(module).__name__}, for which there is no rule. Choose: "
            + (f"roles={{{path!r}: 'messages'}} if it sums messages as they are, " if reads_nodes(module) else "")
            + f"roles={{{path!r}: 'pointwise'}} if it acts on each point alone, roles={{{path!r}: 'wrap'}} to run it "
            f"at the reference, or register_converter({type(module).__name__}, Rule(...))."
        )

    def _wrap(self, module: nn.Module, place: Place) -> nn.Module:
        dim = len(self.axes)
        calls = place.site.calls
        if not calls or len(calls[0].inputs) != dim + 2 or self.layout == "channels-last":
            raise ConversionError(f"{place.path} cannot be wrapped: its input is no (batch, channels, *points).")
        reference = calls[0].inputs[2:]

        def resize(x: Tensor, to_reference: bool) -> Tensor:
            scales = [s for _, s in place.site.axes_for(dim)]
            if all(s == 1 for s in scales):
                return x
            old, new = (scales, [ONE] * dim) if to_reference else ([ONE] * dim, scales)
            if to_reference:
                counts = list(reference)
            else:
                counts = [place.site.count(a, n, s) for a, n, s in zip(self.axes, x.shape[2:], scales, strict=True)]
            return between_scales(x, self.axes, old, new, counts)

        return ModuleWrapper(module, resize)

    def _refuse(self, findings: list[Finding]) -> None:
        for finding in findings:
            if self.roles.get(finding.path) is None and self.on_unknown != "pointwise":
                name = "indexing of points" if finding.function == "__getitem__" else f"{finding.function}()"
                raise ConversionError(
                    f"{finding.path or 'the network'} calls {name} in its forward, which depends on the lattice and "
                    "cannot be converted. Use the layer of torch.nn as a module instead, or, if the result does not "
                    f"depend on the resolution, say roles={{{finding.path!r}: 'pointwise'}}."
                )


def _is_container(module: nn.Module) -> bool:
    return any(child is not None for child in module._modules.values())


def _channels(model: nn.Module) -> int:
    for module in model.modules():
        for name in ("in_channels", "in_features", "num_features", "embed_dim"):
            if isinstance(getattr(module, name, None), int):
                return int(getattr(module, name))
    raise ConversionError("the first layer does not tell the channels of the input: channels=...")
