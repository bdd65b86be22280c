"""From a torch network to a neural operator."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from sciml.errors import ConversionError
from sciml.operators.convert.converter import Converter, Unknown
from sciml.operators.convert.operator import Layout, OperatorModule
from sciml.operators.convert.probe import check_refined
from sciml.operators.convert.rules import Rule
from sciml.operators.convert.site import Resolution
from sciml.spaces import Function

__all__ = ["FORMS", "ROLES", "to_operator"]

FORMS = ("hat", "cubic", "spectral", "differential", "stencil")
ROLES = ("pointwise", "integral", "patch", "convolution", "function", "messages", "wrap")


def to_operator(
    model: nn.Module,
    reference: Any,
    *,
    conv: str | Mapping[str, str] = "hat",
    resolution: Resolution = "follow",
    layout: Layout = "channels-first",
    roles: Mapping[str, str] | None = None,
    rules: Mapping[type[nn.Module] | str, Rule] | None = None,
    on_unknown: Unknown = "error",
    channels: int | None = None,
    example: Sequence[Any] | None = None,
    check: bool = True,
) -> OperatorModule:
    """Convert a network, trained or not, to a map between functions.

    At the reference the result computes what the network computes. At other resolutions every layer keeps its meaning
    in space: kernels, windows, positions and sums over points become functions, lengths and integrals. The parameters
    are the network's own; nothing is added. The network itself is left as it is.

    Args:
        model: Any module that maps ``(batch, channels, *points)``, or ``(batch, points, channels)``.
        reference: Where the network was trained: a grid; its shape (cells of the unit box, periodic if the network
            pads circularly); a function on a grid; the number of points of a cloud or graph; or a graph of PyG, with
            ``x``, ``edge_index`` and ``edge_attr`` if it has one as the arguments of the network.
        conv: Form of the convolutions, or form by pattern of module names:

            - ``hat``: kernels linear between the taps. The default
            - ``cubic``: kernels cubic between the taps, which blur less than hats
            - ``spectral``: the Fourier multiplier (circular padding)
            - ``differential``: a sum of derivatives (odd kernels)
            - ``stencil``: taps stay at their places; exact at the reference's points, blind to what is between
        resolution: What strides do on a finer grid: ``follow`` keeps them in points, so that all layers refine;
            ``latent`` returns to the reference's sizes behind the first, and where the network goes up again, to the
            lattice that the input had: the lower levels of a U-Net stay as they were trained.
        layout: Where the network has its channels.
        roles: Of modules, or parameters, that cannot be known by their type: ``pointwise`` (does not depend on the
            lattice), ``integral`` (a linear layer on channels times points), ``patch`` or ``convolution`` (what a
            convolution of stride equal to its kernel is), ``function`` (a parameter with a value per point),
            ``messages`` (a convolution of PyG that sums messages as they are), ``wrap`` (run it at the reference).
        rules: Rules by class, before all others.
        on_unknown: What to do with a module without a rule.
        channels: Of the input, if the first layer does not tell.
        example: Arguments of the network at the reference, if a random function does not do.
        check: Also run the network at twice the resolution, to find sizes that are fixed in its code.

    Returns:
        The operator. Its ``rows`` say what became of every module; see
        :func:`~sciml.operators.convert.conversion_report`.

    Raises:
        ConversionError: If a module has no rule or calls a function that counts points, a role is needed, or a size is
            fixed; names the module and the choices.

    Reference:
        Berner et al., Principled Approaches for Extending Neural Architectures to Function Spaces for Operator
        Learning, 2025, arXiv 2506.10973.

    Example:
        >>> import torch
        >>> network = nn.Sequential(nn.Conv1d(1, 8, 5, padding=2), nn.GELU(), nn.Conv1d(8, 1, 1))
        >>> operator = to_operator(network, (64,))
        >>> x = torch.randn(3, 1, 64)
        >>> torch.equal(operator(x), network(x)), operator(torch.randn(3, 1, 256)).shape
        (True, torch.Size([3, 1, 256]))
    """
    if hasattr(reference, "edge_index"):
        reference, example = _graph(reference, example)
    if isinstance(model, OperatorModule):
        return _again(model, reference)
    _check_choices(conv, resolution, layout, on_unknown, roles)
    converter = Converter(model, reference, conv, resolution, layout, roles or {}, rules or {}, on_unknown)
    args = tuple(example) if example is not None else (converter.example(channels),)
    operator = converter.convert(args)
    if check and converter.can_refine(args):
        check_refined(operator, args[0])
    return operator


def _graph(graph: Any, example: Sequence[Any] | None) -> tuple[int, Sequence[Any]]:
    """Number of nodes, and the arguments of the network."""
    if example is None:
        parts = [graph.x, graph.edge_index, getattr(graph, "edge_attr", None)]
        example = [part for part in parts if part is not None]
    return int(graph.num_nodes), example


def _check_choices(conv: Any, resolution: str, layout: str, on_unknown: str, roles: Mapping[str, str] | None) -> None:
    forms = [conv] if isinstance(conv, str) else list(conv.values())
    choices: list[tuple[str, Any, tuple[str, ...]]] = [("conv", form, FORMS) for form in forms]
    choices += [
        ("resolution", resolution, ("follow", "latent")),
        ("layout", layout, ("channels-first", "channels-last")),
    ]
    choices += [("on_unknown", on_unknown, ("error", "pointwise", "wrap"))]
    choices += [(f"roles[{name!r}]", role, ROLES) for name, role in (roles or {}).items()]
    for name, value, known in choices:
        if value not in known:
            raise ConversionError(f"{name} is {value!r}, expected one of {', '.join(known)}.")


def _again(model: OperatorModule, reference: Any) -> OperatorModule:
    grid = reference.disc if isinstance(reference, Function) else reference
    same = tuple(grid) == model.reference_shape if isinstance(grid, list | tuple) else grid == model.reference
    if not same:
        raise ConversionError("the network is converted already, at another reference: convert its .original.")
    return model
