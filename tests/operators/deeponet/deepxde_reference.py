"""Networks of DeepXDE with given weights, in a process of its own: ``python deepxde_reference.py CASES OUT``.

DeepXDE sets the default type, seeds and device on import, which other tests must not see.
"""

import sys

import torch


def build(dde, case):
    """The network of DeepXDE for one case, with the weights of the case, linear layer by linear layer."""
    kind = {
        "aligned": dde.nn.DeepONetCartesianProd,
        "unaligned": dde.nn.DeepONet,
        "mionet": dde.nn.pytorch.MIONetCartesianProd,
        "pod": dde.nn.PODDeepONet,
    }[case["kind"]]
    options = case.get("options", {})
    net = kind(*case["layers"], "relu", "Glorot normal", **options)
    own = [module for module in net.modules() if isinstance(module, torch.nn.Linear)]
    with torch.no_grad():
        for layer, (weight, bias) in zip(own, case["linears"], strict=True):
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
        if hasattr(net, "b"):
            parts = net.b if isinstance(net.b, torch.nn.ParameterList) else [net.b]
            for part, value in zip(parts, case["bias"], strict=True):
                part.copy_(value)
    return net


def main(source, target):
    """Outputs of all cases."""
    import deepxde as dde

    cases = torch.load(source, weights_only=True)
    with torch.no_grad():
        torch.save({name: build(dde, case)(tuple(case["inputs"])) for name, case in cases.items()}, target)


if __name__ == "__main__":
    main(*sys.argv[1:])
