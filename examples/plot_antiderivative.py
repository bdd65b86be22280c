r"""
The antiderivative with a DeepONet, on any sensors
==================================================

The operator :math:`u \mapsto s` with :math:`s'(x) = u(x)`, :math:`s(0) = 0` on the unit interval is the first problem
of Lu, Jin, Karniadakis, "DeepONet" (2019). It is linear, so linear least squares is the answer that every network has
to be compared with, and is printed beside it.

Functions come from a Gaussian process with length-scale 0.2. They are drawn once and can be evaluated anywhere, which
is what the last part needs: a network trained on 100 sensors reads the same functions at 50 random ones.
"""

# %%
# The data
# --------
# 150 training and 1000 test functions at 100 sensors, which are the query points as well.
import os

import torch

from sciml import Trainer
from sciml.data import problem_dataset
from sciml.metrics import mean_and_standard_error, relative_l2
from sciml.operators import deeponet, sensor_free_deeponet
from sciml.plotting import QuerySample, plot_query_samples
from sciml.problems import Antiderivative
from sciml.spaces import PointCloud
from sciml.tasks import OperatorRegression, linear_baseline

STEPS = 500 if os.environ.get("SCIML_REDUCED") else 4000
data = problem_dataset("antiderivative", train=150, test=1000, resolution=100, layout="points", cache=False, workers=0)
test = data["test"]


def report(label, prediction):
    mean, error = mean_and_standard_error(relative_l2(prediction, test["y"]))
    print(f"{label:36s} {mean:.2e} ± {error:.0e}")


# %%
# Two networks
# ------------
# The plain DeepONet reads 100 numbers. The other one integrates the input against learned kernels, with the quadrature
# weights of whatever sensors it is given.
torch.manual_seed(0)
plain = deeponet(sensors=100, modes=40, branch=[40], trunk=[40])
free = sensor_free_deeponet(modes=40, branch=[40], trunk=[40], bounds=[[0.0, 1.0]])
for label, model in (("DeepONet", plain), ("DeepONet, any sensors", free)):
    trainer = Trainer(max_steps=STEPS, batch_size=150, progress=False)
    task = OperatorRegression(loss="mse", normalize=False)
    trainer.fit(model, data, task, optimizer={"name": "adam", "lr": 1e-3})
    report(label, trainer.predict(model, test))
report("linear least squares", linear_baseline(data, "u")(test))

# %%
# Other sensors
# -------------
# The test functions once more, at 50 random points, with trapezoid weights of the sorted points.
problem = Antiderivative()
functions = problem.sampler().sample(1000, seed=0, start=200_000_000)  # where the test samples of seed 0 begin
points = torch.rand(50, 1, generator=torch.Generator().manual_seed(1)).sort(0).values
sensors = PointCloud(points, weights="sorted-trapezoid", bounds=((0.0, 1.0),))
with torch.no_grad():
    moved = free(
        functions(points), test["coords"], sensors=points, sensor_weights=sensors.weights_nd(dtype=torch.float32)
    )
report("any sensors, at 50 random ones", moved)

# %%
# Two test functions
# ------------------
samples = [
    QuerySample(functions[i : i + 1](points)[0], test["coords"], test["y"][i], moved[i], points[:, 0], f"function {i}")
    for i in (0, 1)
]
names = {"u": "input at 50 sensors", "y": "antiderivative"}
figure = plot_query_samples(samples, names=names, path="antiderivative.png")
