r"""
A U-Net on Darcy flow, at twice the resolution
==============================================

A plain U-Net learns the pressure in a porous medium on a 16 x 16 grid, from 1000 real samples of the neuraloperator
project (MIT licence), and is tested on a 32 x 32 grid that it has never seen: as it stands, between two interpolations,
and converted to a neural operator. The data are those of :doc:`plot_darcy`, where the Fourier neural operator reaches
0.08 and 0.10 with more epochs.

The upper level of a U-Net can be refined with the input. Its lower levels live on 8 and 4 points a side, and what they
learned says little about 16 and 8. With ``resolution="latent"`` they stay as they are: the converted network is at
32 x 32 as good as at 16 x 16, and better than between interpolations, because its upper level reads what the finer grid
tells. If all levels are refined (``"follow"``), the network is worse, although it has a limit. For smooth functions on
more points both do (:doc:`plot_convert_cnn`).
"""

# %%
# The network
# -----------
# Two convolutions a level, mean pools down, interpolation up; nothing in it knows of functions. Coordinates are
# appended to the input. Zeros padded around the square would tell the network as well where the boundary is, but
# only to a spacing of its coarsest level, a quarter of the square, and that would not hold on another grid.
import os

import torch
from torch import nn

from sciml import Trainer, load_dataset
from sciml.methods import GridSymmetry
from sciml.metrics import mean_and_standard_error, relative_l2
from sciml.nn import GridEmbedding
from sciml.operators.convert import InterpolationWrapper, conversion_report, to_operator
from sciml.plotting import OperatorSample, plot_operator_samples
from sciml.tasks import OperatorRegression

REDUCED = bool(os.environ.get("SCIML_REDUCED"))
EPOCHS = 2 if REDUCED else 20


class Block(nn.Sequential):
    def __init__(self, channels, out):
        conv = lambda a: nn.Conv2d(a, out, 3, padding=1, padding_mode="replicate")  # noqa: E731
        super().__init__(conv(channels), nn.GroupNorm(1, out), nn.GELU(), conv(out), nn.GELU())


class UNet(nn.Module):
    def __init__(self, width=24):
        super().__init__()
        self.embed = GridEmbedding("left")
        self.first, self.second, self.third = Block(3, width), Block(width, 2 * width), Block(2 * width, 2 * width)
        self.pool, self.up = nn.AvgPool2d(2), nn.Upsample(scale_factor=2, mode="bilinear")
        self.join2, self.join1 = Block(4 * width, width), Block(2 * width, width)
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, x):
        first = self.first(self.embed(x))
        second = self.second(self.pool(first))
        x = self.join2(torch.cat([self.up(self.third(self.pool(second))), second], 1))
        return self.head(self.join1(torch.cat([self.up(x), first], 1)))


# %%
# Training on 16 x 16
# -------------------
torch.manual_seed(0)
data = load_dataset("darcy-small")
network = UNet()
print(sum(parameter.numel() for parameter in network.parameters()), "parameters")
trainer = Trainer(max_epochs=EPOCHS, batch_size=32, progress=False)
trainer.fit(
    network,
    data,
    OperatorRegression(loss="relative_l2+relative_h1"),
    [GridSymmetry(per_sample=True)],
    optimizer={"name": "adamw", "lr": 2e-3, "weight_decay": 1e-4},
    scheduler={"name": "onecycle", "max_lr": 2e-3, "pct_start": 0.1},
)

# %%
# Testing on 16 x 16 and 32 x 32
# ------------------------------
grid = data.train.grids["x"]
latent = {"resolution": "latent", "channels": 1}
models = {
    "as it stands": network,
    "between interpolations": InterpolationWrapper(network, grid),
    "converted, all levels (cubic)": to_operator(network, grid, conv="cubic", channels=1),
    "converted, latent (hat)": to_operator(network, grid, **latent),
    "converted, latent (cubic)": to_operator(network, grid, conv="cubic", **latent),
}
for label, model in models.items():
    found = []
    for name in ("test_16", "test_32"):
        mean, error = mean_and_standard_error(relative_l2(trainer.predict(model, data[name]), data[name]["y"]))
        found.append(f"{mean:.4f} ± {error:.4f}")
    print(f"{label:32s}" + "   ".join(found))

# %%
# What became of the layers
# -------------------------
print(conversion_report(models["converted, latent (cubic)"]))

# %%
# One sample on the finer grid
# ----------------------------
test = data["test_32"]
samples = [
    OperatorSample(
        test["x"][0], test["y"][0], trainer.predict(models[label], test)[0], test.grids["y"], label.partition(",")[0]
    )
    for label in ("as it stands", "converted, latent (cubic)")
]
figure = plot_operator_samples(samples, names={"x": "permeability", "y": "pressure"}, path="convert-unet.png")
