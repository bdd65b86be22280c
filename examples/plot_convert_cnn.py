r"""
A convolutional network at other resolutions
============================================

Four convolutions are trained on 64 points of Burgers' equation, :math:`u_t + (u^2/2)_x = 0.05\, u_{xx}`, and then used
on up to 512 points. As it stands the network fails there: its kernels shrink with the grid.
:func:`~sciml.operators.convert.to_operator` keeps their width in space, with the same weights.
"""

# %%
# Data on 64 to 512 points
# ------------------------
# The same functions everywhere: the solver's fine grid, subsampled.
import os

import torch
from matplotlib.figure import Figure
from torch import nn

from sciml import Trainer
from sciml.data import grid_split, operator_dataset
from sciml.metrics import relative_l2
from sciml.operators.convert import InterpolationWrapper, conversion_report, discretization_error, to_operator
from sciml.plotting import plot_discretization_error
from sciml.problems import Burgers
from sciml.spaces import RegularGrid
from sciml.tasks import OperatorRegression

REDUCED = bool(os.environ.get("SCIML_REDUCED"))
TRAIN, TEST, STEPS, SIZES = 256, 64, 60 if REDUCED else 400, (64, 128, 256, 512)
problem = Burgers(nu=0.05, duration=0.1, modes=24)
data = problem.generate(TRAIN + TEST, seed=0, resolution=512)


def line(n):
    return RegularGrid(shape=(n,), bounds=((0.0, 1.0),), periodic=True)


def split(n, which):
    return grid_split(data["u0"][which, :: 512 // n], data["u"][which, :: 512 // n], line(n))


# %%
# Training on 64 points
# ---------------------


class CNN(nn.Module):
    def __init__(self, width=32, kernel=7):
        super().__init__()
        conv = lambda a, b: nn.Conv1d(a, b, kernel, padding=kernel // 2, padding_mode="circular")  # noqa: E731
        self.layers = nn.Sequential(
            conv(1, width), nn.GELU(), conv(width, width), nn.GELU(), conv(width, width), nn.GELU(), conv(width, 1)
        )

    def forward(self, x):
        return self.layers(x)


torch.manual_seed(0)
network = CNN()
trainer = Trainer(max_steps=STEPS, batch_size=64, progress=False)
trainer.fit(
    network,
    operator_dataset({"train": split(64, slice(TRAIN))}),
    OperatorRegression(),
    optimizer={"name": "adam", "lr": 2e-3},
    scheduler={"name": "onecycle", "max_lr": 2e-3},
)

# %%
# The same weights on finer grids
# -------------------------------
operator = to_operator(network, line(64))
print(conversion_report(operator))
models = {
    "as it stands": network,
    "converted (hat)": operator,
    "converted (stencil)": to_operator(network, line(64), conv="stencil"),
    "between interpolations": InterpolationWrapper(network, line(64)),
}
print(f"\nrelative L2 error{'':12s}" + "".join(f"{n:>9d}" for n in SIZES))
errors = {}
for label, model in models.items():
    tests = [split(n, slice(TRAIN, None)) for n in SIZES]
    errors[label] = [relative_l2(trainer.predict(model, test), test["y"]).mean().item() for test in tests]
    print(f"{label:29s}" + "".join(f"{e:9.4f}" for e in errors[label]))

# %%
# Errors and one solution
# -----------------------
figure = Figure(figsize=(10, 4), layout="constrained")
left, right = figure.subplots(1, 2)
for label, values in errors.items():
    left.loglog(SIZES, values, marker="o", label=label)
left.set(xlabel="points", ylabel="relative $L^2$ error", title=f"trained on 64 points, {STEPS} steps")
left.set_xticks(SIZES, [str(n) for n in SIZES])
left.xaxis.minorticks_off()
left.legend(fontsize="small")
fine = split(512, slice(TRAIN, TRAIN + 1))
x = line(512).points[:, 0]
right.plot(x, fine["y"][0, 0], "k", label="truth")
for label in ("as it stands", "converted (hat)"):
    right.plot(x, trainer.predict(models[label], fine)[0, 0], "--", label=label)
right.set(xlabel="$x$", ylabel="$u(T)$", title="one test function on 512 points")
right.legend(fontsize="small")
figure.savefig("convert-cnn.png", dpi=120)

# %%
# How far the answer depends on the grid
# --------------------------------------
# Nothing but the network: its output against the same network on a far finer grid, for smooth functions.
smooth = problem.sampler()
measured = {
    form: discretization_error(to_operator(network.double(), line(64), conv=form), smooth, (1, 2, 4, 8))
    for form in ("hat", "spectral")
}
print(measured["hat"])
figure = plot_discretization_error(measured, path="convert-orders.png")
