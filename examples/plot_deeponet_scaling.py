r"""
How many sensors, how many functions?
=====================================

Two questions of Lu, Jin, Karniadakis, "DeepONet" (2019), on the pendulum with an external force,

.. math:: s_1' = s_2, \qquad s_2' = -\sin s_1 + u(t), \qquad s(0) = 0, \qquad t \in [0, 1],

with forces :math:`u` from a Gaussian process of length-scale :math:`\ell`. A network that reads :math:`u` at :math:`m`
sensors cannot tell it from its interpolant :math:`u_m`, so the theory looks at

.. math:: \kappa = \max |u - u_m| \sim \frac{1}{m^2 \ell^2},
          \qquad |G u - G u_m| \le c\, T \kappa\, e^{c T}, \qquad c = T = 1.

This page measures :math:`\kappa`, trains a few networks, and draws the whole study, whose rows are in
``benchmarks/results`` (scripts ``benchmarks/deeponet/sensors.py`` and ``regimes.py``).
"""

# %%
# The interpolation error of the forces
# -------------------------------------
# It falls with the square of :math:`m \ell` as soon as there are a few sensors in each length-scale. The forces are
# drawn once, and evaluated at sensors and between them.
import os

import numpy as np
import torch

from sciml.problems import Pendulum

REDUCED = bool(os.environ.get("SCIML_REDUCED"))
TRAIN, TEST, STEPS = (100, 100, 100) if REDUCED else (1000, 500, 2000)


def kappa(functions, sensors):
    at, fine = torch.linspace(0, 1, sensors).double(), torch.linspace(0, 1, 1001).double()
    values = functions(at).numpy()
    return max(
        np.abs(np.interp(fine, at, row) - exact).max()
        for row, exact in zip(values, functions(fine).numpy(), strict=True)
    )


for length_scale in (0.1, 0.2, 0.5):
    forces = Pendulum(length_scale=length_scale).sampler().sample(TEST, seed=0)
    print(f"l = {length_scale}:", "  ".join(f"kappa({m}) = {kappa(forces, m):.1e}" for m in (10, 20, 40, 80)))

# %%
# The error of networks
# ---------------------
# Each reads the same forces at fewer or more sensors, and learns the angle at 50 times. Within T = 1 the pendulum is
# nearly linear, so linear least squares on the same sensor values shows what they tell: far more than a straight line
# between them does, because the forces are smooth.
from sciml import Trainer
from sciml.data import aligned_split, operator_dataset
from sciml.metrics import mse
from sciml.operators import deeponet
from sciml.tasks import OperatorRegression, linear_baseline

problem = Pendulum(length_scale=0.2)
forces = problem.sampler().sample(TRAIN + TEST, seed=0)
times = torch.linspace(0, 1, 50).double()
angles = problem.solve(forces, times)
for sensors in (3, 5, 10, 50):
    whole = aligned_split(forces(torch.linspace(0, 1, sensors).double()), times, angles)
    data = operator_dataset({"train": whole.select(slice(0, TRAIN)), "test": whole.select(slice(TRAIN, None))})
    torch.manual_seed(0)
    model = deeponet(sensors=sensors, modes=40, branch=[40], trunk=[40, 40])
    trainer = Trainer(max_steps=STEPS, batch_size=TRAIN, progress=False)
    trainer.fit(model, data, OperatorRegression(loss="mse", normalize=False), optimizer={"name": "adam", "lr": 1e-3})
    test = data["test"]
    predictions = {"DeepONet": trainer.predict(model, test), "linear least squares": linear_baseline(data, "u")(test)}
    errors = [f"{name} {mse(values, test['y']).mean().sqrt().item():.1e}" for name, values in predictions.items()]
    print(f"{sensors:3d} sensors:", ", ".join(errors))

# %%
# The whole study
# ---------------
# Left: :math:`\kappa` falls on one curve when sensors are counted per length-scale; the angle that the reference solver
# computes from :math:`u_m`, integrated twice, is far more accurate than the bound. Middle: networks follow linear least
# squares, much faster than any power of :math:`m`, until their training limits them. Right: error against the number of
# training functions for networks of three widths. The paper sees an exponential followed by a power (solid lines); here
# one power (dashed) describes the measurements better at every width, with fewer parameters.
import json
from pathlib import Path

from matplotlib.figure import Figure

import sciml

RESULTS = Path(sciml.__file__).parents[1] / "benchmarks" / "results"
sensors = json.loads((RESULTS / "deeponet_sensors.json").read_text())["summary"]
regimes = json.loads((RESULTS / "deeponet_regimes.json").read_text())["summary"]


def curve(name, length_scale):
    """Sensors and values of one length-scale."""
    begin, end = f"l = {length_scale}, ", " sensors"
    rows = sensors["rmse"][name].items()
    return np.array([(int(key[len(begin) : -len(end)]), v) for key, v in rows if key.startswith(begin)]).T


figure = Figure(figsize=(13, 4.2), layout="constrained")
left, middle, right = figure.subplots(1, 3)
for color, length_scale in zip(("C0", "C1", "C2", "C3"), (0.1, 0.2, 0.5, 1.0), strict=True):
    m, value = curve("kappa", length_scale)
    left.loglog((m - 1) * length_scale, value, "o", color=color, label=rf"$\ell$ = {length_scale}")
    m, value = curve("interpolated", length_scale)
    left.loglog((m - 1) * length_scale, value, "x", color=color)
    m, value = curve("net", length_scale)
    middle.loglog(m, value, "o-", color=color, label=rf"$\ell$ = {length_scale}")
    m, value = curve("linear", length_scale)
    middle.loglog(m, value, ":", color=color)
x = np.array([1.0, 100.0])
m, value = curve("kappa", 0.2)
left.loglog(x, value[-1] * ((m[-1] - 1) * 0.2 / x) ** 2, "k--", linewidth=1, label=r"$\sim 1 / (m^2 \ell^2)$")
m, value = curve("interpolated", 0.2)
name = r"$u_m$ for $\ell$ = 0.2, $\sim 1/m^2$"
middle.loglog(m[2:], value[-1] * ((m[-1] - 1) / (m[2:] - 1)) ** 2, "k--", linewidth=1, label=name)
left.set(xlabel=r"sensors per length-scale $(m - 1)\, \ell$", ylabel="error")
left.set_title(r"$\bullet$ $\kappa = \max |u - u_m|$   $\times$ angle from $u_m$, rms", fontsize="medium")
middle.set(xlabel="sensors $m$", ylabel="rms error of the angle")
middle.set_title("DeepONet (dots), least squares (dotted)", fontsize="medium")

sizes = np.array(regimes["sizes"], dtype=float)
for color, (width, values) in zip(("C0", "C1", "C2"), regimes["test_mse"].items(), strict=True):
    right.loglog(sizes, values, "o", color=color, label=f"width {width}")
    fit = regimes["fits"][width]["exponential, then power"]
    first = sizes <= fit["turn"][0]
    for part, rate, horizontal in ((first, fit["rates"][0], sizes), (~first, fit["rates"][1], np.log(sizes))):
        logs = np.log(values)[part]
        line = np.exp(logs.mean() + rate * (horizontal[part] - horizontal[part].mean()))
        right.loglog(sizes[part], line, "-", color=color, linewidth=1)
    power = regimes["fits"][width]["power"]["rate"]
    centre = np.exp(np.log(values).mean() - power * np.log(sizes).mean())
    right.loglog(sizes, centre * sizes**power, "--", color=color, linewidth=1)
right.set(xlabel="training functions", ylabel="mean squared test error")
right.set_title("exponential then power (solid), power (dashed)", fontsize="medium")
for axes in (left, middle, right):
    axes.grid(True, which="major", alpha=0.3)
    axes.legend(fontsize="small")
figure.savefig("deeponet_scaling.png", dpi=150)
print(f"kappa falls with m^{sensors['kappa_powers']['m']:.2f} and l^{sensors['kappa_powers']['l']:.2f}")
for width, fits in regimes["fits"].items():
    print(f"width {width}:", ", ".join(f"{name} leaves {fit['residual']:.2f}" for name, fit in fits.items()))
