r"""
Two input functions with MIONet
===============================

Something is carried along at a speed that varies in space,

.. math:: u_t + a(x) u_x = 0, \qquad u(x, 0) = u_0(x), \qquad a(x) = 1 + 0.05 \, (V(x) + V(1 - x)),

on a periodic interval. The operator :math:`(u_0, V) \mapsto u(x, t)` has two input functions. It is linear in the first
and not in the second, so that linear least squares, which is printed beside the networks, cannot solve it.

MIONet (Jin, Meng, Lu, 2022) has one branch for each function and multiplies their coefficients. The other network is a
DeepONet that reads both functions as one list of numbers. The same run as a configuration, with more functions and more
epochs, is ``examples/two-inputs.yaml``.
"""

# %%
# The data
# --------
# Both functions are drawn apart from one another: V from a Gaussian process of length-scale 0.2, the initial state from
# one of period 1. The solution follows the characteristics and is exact.
import os
from dataclasses import replace

import torch

from sciml import Trainer
from sciml.data import operator_dataset, problem_dataset
from sciml.metrics import mean_and_standard_error, relative_l2
from sciml.plotting import QuerySample, plot_query_samples
from sciml.problems import VariableAdvection
from sciml.tasks import OperatorRegression
from sciml.train import build_model

REDUCED = bool(os.environ.get("SCIML_REDUCED"))
FUNCTIONS, EPOCHS = (200, 5) if REDUCED else (2000, 150)
problem = VariableAdvection(case="IV", initial="random")
data = problem_dataset(problem, train=FUNCTIONS, test=200, resolution=20, layout="points", cache=False, workers=0)
train, test = data.train, data["test"]
print({name: tuple(value.shape) for name, value in train.tensors.items()})


def report(label, prediction):
    mean, error = mean_and_standard_error(relative_l2(prediction, test["y"], test["y.weight"]))
    print(f"{label:36s} {mean:.4f} ± {error:.4f}")


# %%
# Two networks
# ------------
# ``inputs`` says which function goes to which argument of the model. Features of period 1 make both networks periodic
# in x.
sizes = {"modes": 100, "branch": [128], "trunk": [128, 128], "periods": [1.0, None], "harmonics": 4}


def both(split):
    """The two functions as one list of numbers."""
    u = torch.cat([split["u0"], split["v"]], 1)
    return replace(split, tensors={"u": u, **{name: split[name] for name in ("coords", "y", "y.weight")}})


def fit(name, dataset, inputs=None):
    torch.manual_seed(0)
    model = build_model(name, dataset.spec, activation="gelu", **sizes)
    trainer = Trainer(max_epochs=EPOCHS, batch_size=100, progress=False)
    trainer.fit(
        model,
        dataset,
        OperatorRegression(loss="mse"),
        inputs=inputs,
        optimizer={"name": "adam", "lr": 1e-3},
        scheduler={"name": "onecycle", "max_lr": 1e-2},
    )
    return trainer.predict(model, dataset["test"])


prediction = fit("mionet", data, {"u": "u0", "u2": "v"})
joined = operator_dataset({"train": both(train), "test": both(test)})
report("MIONet", prediction)
report("DeepONet of both as one list", fit("deeponet", joined))

# %%
# Least squares
# -------------
# The best affine map from both functions, at their sensors, to the solution.
rows = {name: torch.cat([joined[name]["u"], torch.ones(len(joined[name]), 1)], 1) for name in ("train", "test")}
solution = torch.linalg.lstsq(rows["train"], train["y"], driver="gelsd").solution
report("linear least squares", rows["test"] @ solution)

# %%
# Two test functions
# ------------------
# Left the initial state and the speed, then the solution over space (to the right) and time (upwards). The stripes are
# bent and inclined by the speed.
inputs = {"initial state": "u0", "speed": "v"}
samples = [
    QuerySample(
        {name: test[key][i] for name, key in inputs.items()},
        test["coords"],
        test["y"][i],
        prediction[i],
        {name: test[f"{key}.pos"][:, 0] for name, key in inputs.items()},
        f"function {i}",
    )
    for i in (0, 1)
]
figure = plot_query_samples(samples, names={"u": "inputs"}, coordinates=("$x$", "$t$"), path="two-inputs.png")
