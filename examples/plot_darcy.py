r"""
Darcy flow with a Fourier neural operator
=========================================

Water seeps through a porous medium. On the unit square, with pressure :math:`u` and permeability :math:`a`,

.. math:: -\nabla \cdot (a \nabla u) = 1, \qquad u = 0 \text{ on the boundary},

where :math:`a` takes two values. The operator :math:`a \mapsto u` is learned from 1000 pairs on a 16 x 16 grid and
tested there and on a 32 x 32 grid that it has never seen.

The data are those of the neuraloperator project (MIT licence); the model is that of Li et al., "Fourier neural operator
for parametric partial differential equations" (2021). The same run as a configuration is ``examples/darcy.yaml``, with
more epochs.
"""

# %%
# The data
# --------
# A dataset has splits; ``test_32`` lives on a finer grid. The card says where the data come from.
import os

import torch

from sciml import Trainer, load_dataset
from sciml.methods import GridSymmetry
from sciml.metrics import mean_and_standard_error, relative_l2
from sciml.plotting import OperatorSample, plot_operator_samples
from sciml.tasks import OperatorRegression, linear_baseline, mean_baseline
from sciml.train import build_model

REDUCED = bool(os.environ.get("SCIML_REDUCED"))
EPOCHS = 4 if REDUCED else 20

torch.manual_seed(0)
data = load_dataset("darcy-small")
for name in data:
    print(name, len(data[name]), "samples on", tuple(data[name]["x"].shape[2:]))

# %%
# The model
# ---------
# Channels and dimension come from the data. Eight Fourier modes per axis are kept.
model = build_model("fno", data.spec, modes=[8, 8], hidden_channels=24)
print(sum(parameter.numel() for parameter in model.parameters()), "parameters")

# %%
# Training
# --------
# The loss is the relative error of values and slopes. The problem keeps its form when the square is reflected or its
# axes are exchanged, so every sample is turned by a random symmetry each time it is seen.
trainer = Trainer(max_epochs=EPOCHS, batch_size=32, progress=False)
trainer.fit(
    model,
    data,
    OperatorRegression(loss="relative_l2+relative_h1"),
    [GridSymmetry(per_sample=True)],
    optimizer={"name": "adamw", "lr": 1e-2, "weight_decay": 1e-4},
    scheduler={"name": "onecycle", "max_lr": 1e-2, "pct_start": 0.1},
)

# %%
# The error, beside two trivial predictors
# ----------------------------------------
# Each figure is the mean relative L2 error over the test samples, with its standard error.
predictors = {
    "Fourier neural operator": lambda split: trainer.predict(model, split),
    "training mean": mean_baseline(data),
    "linear least squares": linear_baseline(data),
}
for label, predict in predictors.items():
    for name in ("test_16", "test_32"):
        errors = relative_l2(predict(data[name]), data[name]["y"])
        mean, error = mean_and_standard_error(errors)
        print(f"{label:24s} {name}  {mean:.4f} ± {error:.4f}")

# %%
# One test sample on both grids
# -----------------------------
samples = []
for name in ("test_16", "test_32"):
    split = data[name].select(slice(0, 1))
    samples.append(
        OperatorSample(split["x"][0], split["y"][0], trainer.predict(model, split)[0], split.grids["y"], name)
    )
figure = plot_operator_samples(samples, names={"x": "permeability", "y": "pressure"}, path="darcy.png")
