"""The same weights give the outputs of DeepXDE, for every strategy, layout and member of the family it has."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from sciml.operators.deeponet import DeepONet, MIONet, PODDeepONet, PODModes

REFERENCE = Path(__file__).with_name("deepxde_reference.py")
STRATEGIES = ["split_branch", "split_both", "split_trunk", "independent"]
GENERATOR = torch.Generator().manual_seed(0)
U, U2 = torch.randn(6, 10, generator=GENERATOR), torch.randn(6, 7, generator=GENERATOR)
POINTS, ROWS = torch.rand(9, 2, generator=GENERATOR), torch.rand(6, 2, generator=GENERATOR)


def make(multi_output, out_channels):
    """One of our networks with a bias that is not zero, and the widths of its branch and trunk."""
    net = DeepONet(
        [10, 12], [2, 12], out_channels=out_channels, num_basis=5, multi_output=multi_output, activation="relu"
    )
    nn.init.normal_(net.bias)
    size = {"independent": (5, 5), "split_both": (15, 15), "split_branch": (15, 5), "split_trunk": (5, 15)}
    branch, trunk = size[multi_output] if out_channels > 1 else (5, 5)
    return net, [[10, 12, branch], [2, 12, trunk]]


def linears(*networks):
    """Weights and biases of all linear layers in order, after drawing biases that are not zero."""
    layers = [m for network in networks for m in network.modules() if isinstance(m, nn.Linear)]
    for layer in layers:
        nn.init.normal_(layer.bias, std=0.3)
    return [[layer.weight.detach(), layer.bias.detach()] for layer in layers]


def operator_cases():
    nets, cases = {}, {}
    for multi_output in STRATEGIES:
        for out_channels in (1, 3):
            for kind, coords in (("aligned", POINTS), ("unaligned", ROWS)):
                if out_channels == 1 and multi_output != "split_branch":
                    continue
                net, layers = make(multi_output, out_channels)
                name = f"{kind}-{multi_output}-{out_channels}"
                strategy = multi_output if out_channels > 1 else None
                options = {"num_outputs": out_channels, "multi_output_strategy": strategy}
                nets[name] = lambda net=net, coords=coords, kind=kind: net(U, coords, layout=kind)
                cases[name] = {
                    "kind": kind,
                    "layers": layers,
                    "options": options,
                    "linears": linears(net.branch, net.trunk),
                    "bias": net.bias.detach().unbind(),
                    "inputs": [U, coords],
                }
    return nets, cases


def family_cases():
    mio = MIONet([[10, 12, 5], [7, 8, 5]], [2, 12, 5])
    nn.init.normal_(mio.bias)
    first, second = mio.branch.branches
    cases = {
        "mionet": {
            "kind": "mionet",
            "layers": [[10, 12, 5], [7, 8, 5], [2, 12, 5]],
            "options": {"trunk_last_activation": True},
            "linears": linears(first, second, mio.trunk),
            "bias": [mio.bias.detach()[0]],
            "inputs": [U, U2, POINTS],
        }
    }
    targets = torch.randn(12, 9)
    targets = targets - targets.mean(0)
    nets = {"mionet": lambda: mio(U, POINTS, U2)}
    for name, trunk, extra in (("pod", None, 0), ("pod-trunk", [2, 12, 4], 4)):
        pod = PODDeepONet([10, 12], PODModes.from_data(targets, POINTS, 5), trunk)
        pod.modes.mean.zero_()
        networks = [pod.branch] if trunk is None else [pod.branch, pod.trunk]
        if pod.bias is not None:
            nn.init.normal_(pod.bias)
        cases[name] = {
            "kind": "pod",
            "layers": [pod.modes.modes, [10, 12, 5 + extra]],
            "options": {} if trunk is None else {"layer_sizes_trunk": trunk},
            "linears": linears(*networks),
            "bias": [] if pod.bias is None else [pod.bias.detach()[0]],
            "inputs": [U, POINTS],
        }
        nets[name] = lambda pod=pod: pod(U, POINTS)
    return nets, cases


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Name of a case to the outputs of both libraries."""
    # Importing it here would change global state, so importorskip is no choice.
    if importlib.util.find_spec("deepxde") is None:
        pytest.skip("deepxde is not installed: pip install deepxde==1.15.0")
    torch.manual_seed(0)
    nets, cases = operator_cases()
    more_nets, more_cases = family_cases()
    nets, cases = nets | more_nets, cases | more_cases
    folder = tmp_path_factory.mktemp("deepxde")
    torch.save(cases, folder / "cases.pt")
    done = subprocess.run(
        [sys.executable, str(REFERENCE), "cases.pt", "out.pt"],
        cwd=folder,
        env={**os.environ, "DDE_BACKEND": "pytorch", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    theirs = torch.load(folder / "out.pt", weights_only=True)
    with torch.no_grad():
        return {name: (net(), theirs[name]) for name, net in nets.items()}


def same(ours, theirs):
    assert ours.shape == theirs.shape
    # Sums of some ten terms of size one, in another order.
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    assert ours.std() > 0.01


@pytest.mark.parametrize("multi_output", STRATEGIES)
def test_several_outputs_equal_deepxde_for_shared_points(compared, multi_output):
    ours, theirs = compared[f"aligned-{multi_output}-3"]
    same(ours.transpose(1, 2), theirs)  # there the channels come last


@pytest.mark.parametrize("multi_output", STRATEGIES)
def test_several_outputs_equal_deepxde_for_one_point_per_row(compared, multi_output):
    same(*compared[f"unaligned-{multi_output}-3"])


def test_one_output_equals_deepxde(compared):
    same(*compared["aligned-split_branch-1"])
    ours, theirs = compared["unaligned-split_branch-1"]
    same(ours[:, None], theirs)


@pytest.mark.parametrize("name", ["mionet", "pod", "pod-trunk"])
def test_the_family_equals_deepxde(compared, name):
    same(*compared[name])
