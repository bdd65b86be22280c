r"""
A transformer on scattered points
=================================

Each function is known at 64 points of its own. A plain torch transformer learns the operator

.. math:: s(x) = \int_0^1 e^{-|x-y|/0.2}\, u(y)\, dy

from uniformly scattered points. Then the points cluster at one end. A transformer counts points; the converted one
integrates, with the quadrature weights of the points: the same parameters, another sum.
"""

# %%
# Functions at points
# -------------------
# Random Fourier sums, which can be evaluated anywhere; targets by a fine quadrature.
import math
import os

import torch
from matplotlib.figure import Figure
from torch import nn

from sciml.operators.convert import to_operator

STEPS = 150 if os.environ.get("SCIML_REDUCED") else 1500
POINTS, LENGTH = 64, 0.2
generator = torch.Generator().manual_seed(0)


def clouds(num, clustered=False):
    """Tokens (value, coordinate, its sine and cosine), quadrature weights, targets."""
    places = torch.rand(num, POINTS, generator=generator).sort(1).values
    if clustered:  # a density that falls from 10 to 1, one point in each of 64 equally likely parts
        places = (torch.arange(POINTS) + torch.rand(num, POINTS, generator=generator)) / POINTS
        places = -torch.log1p(-0.9 * places) / math.log(10)
    waves = torch.arange(1, 7)
    sizes = torch.randn(num, 2, 6, generator=generator) / waves

    def u(x):
        angle = math.pi * x[..., None] * waves
        return (sizes[:, None, 0] * angle.sin() + sizes[:, None, 1] * angle.cos()).sum(-1)

    fine = (torch.arange(400) + 0.5) / 400
    kernel = torch.exp(-(places[:, :, None] - fine).abs() / LENGTH)
    target = (kernel @ u(fine.expand(num, -1))[..., None]).squeeze(-1) / 400
    # The weight of a point is the length that is closer to it than to its neighbours.
    middles = (places[:, 1:] + places[:, :-1]) / 2
    weights = torch.cat([middles, torch.ones(num, 1)], 1) - torch.cat([torch.zeros(num, 1), middles], 1)
    tokens = torch.stack([u(places), places, (2 * math.pi * places).sin(), (2 * math.pi * places).cos()], -1)
    return {"x": tokens, "weights": weights, "y": target}


train, tests = clouds(1000), {"uniform": clouds(200), "clustered": clouds(200, clustered=True)}

# %%
# A plain transformer
# -------------------


class PointTransformer(nn.Module):
    def __init__(self, width=32, layers=2):
        super().__init__()
        self.embed = nn.Linear(4, width)
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.read = nn.Linear(width, 1)

    def forward(self, x):
        return self.read(self.encoder(self.embed(x)))


def errors(answer, data):
    """Relative L2 error of each function, the norms with quadrature weights."""
    squares = (data["weights"] * (answer.squeeze(-1) - data["y"]) ** 2).sum(1)
    return (squares / (data["weights"] * data["y"] ** 2).sum(1)).sqrt()


torch.manual_seed(0)
network = PointTransformer()
optimizer = torch.optim.Adam(network.parameters(), lr=2e-3, fused=True)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, STEPS)
for _ in range(STEPS):
    rows = torch.randint(len(train["x"]), (50,), generator=generator)
    loss = (network(train["x"][rows]).squeeze(-1) - train["y"][rows]).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()

# %%
# The same parameters with weights
# --------------------------------
operator = to_operator(network, POINTS, layout="channels-last")
with torch.no_grad():
    for name, data in tests.items():
        plain, weighted = network(data["x"]), operator(data["x"], weights=data["weights"])
        pair = [errors(answer, data).mean().item() for answer in (plain, weighted)]
        print(f"{name:10s} points: as it stands {pair[0]:.4f}, with weights {pair[1]:.4f}")

# %%
# Splitting a point in two, each half with half its weight, changes nothing:
data = tests["clustered"]
split = torch.cat([data["x"], data["x"][:, :1]], 1)
halves = torch.cat([data["weights"], data["weights"][:, :1] / 2], 1)
halves[:, 0] /= 2
with torch.no_grad():
    difference = (
        (operator(split, weights=halves)[:, :POINTS] - operator(data["x"], weights=data["weights"])).abs().max()
    )
print(f"largest change when a point is split: {difference:.1e}")

# %%
# All functions, and the one in the middle
# ----------------------------------------
own = {"as it stands": errors(plain, data), "with weights": errors(weighted, data)}
middle = own["as it stands"].argsort()[len(plain) // 2]
figure = Figure(figsize=(11, 4), layout="constrained")
left, right = figure.subplots(1, 2, width_ratios=[1, 2])
left.loglog(own["as it stands"], own["with weights"], ".")
ends = [min(e.min() for e in own.values()), max(e.max() for e in own.values())]
left.loglog(ends, ends, color="grey", linewidth=1)
left.set(xlabel="error as it stands", ylabel="error with weights", title="200 functions at clustered points")
x = data["x"][middle, :, 1]
right.plot(x, data["y"][middle], "k.-", label="truth")
right.plot(x, plain[middle, :, 0], ".--", label="as it stands")
right.plot(x, weighted[middle, :, 0], ".--", label="with weights")
right.plot(x, torch.full_like(x, right.get_ylim()[0]), "|", color="grey", label="points")
right.set(xlabel="$x$", ylabel="$s(x)$", title="the function with the middle error as it stands")
right.legend(fontsize="small")
figure.savefig("convert-clouds.png", dpi=120)
