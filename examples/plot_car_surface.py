r"""
Pressure on a car with a geometry-informed neural operator
==========================================================

Air flows around a car. From the shape of the car to the pressure on its surface is an operator from geometries to
functions on them: the surface is another one for each car, so neither a grid nor fixed sensors will do.

The model is that of Li et al., "Geometry-informed neural operator for large-scale 3D PDEs" (2023), from the package
neuraloperator: an integral over the points of the surface carries the geometry to a grid around the car, Fourier layers
act there, and a second integral brings the result back to the points.

The data are three cars of that work (MIT licence). **Two cars to train on and one to test say nothing about
aerodynamics**; they show real surfaces going through the whole chain. The same run as a configuration is
``examples/car-surface.yaml``.
"""

# %%
# The data
# --------
# Each car has points of its own, with the area that belongs to each as its quadrature weight. The input ``x`` is the
# signed distance to the surface on a grid around the car. Coordinates are scaled to a box; the card says by how much,
# and how to hold the car for a picture.
import os
import time

import torch

from sciml import Trainer, load_dataset
from sciml.metrics import relative_l2
from sciml.plotting.surfaces import SurfaceSample, plot_surface_samples
from sciml.train import build_model

EPOCHS = 4 if os.environ.get("SCIML_REDUCED") else 60

torch.manual_seed(0)
data = load_dataset("mini-car")
train, test = data.train, data["test"]
print(data)
print("area of the surfaces:", [round(float(area), 1) for area in train["y.weight"].sum(1)])

# %%
# Training
# --------
# Model, loss and errors use the weights ``y.weight`` of the points.
model = build_model("gino", data.spec, hidden_channels=16, num_layers=2, radius=0.1)
print(sum(parameter.numel() for parameter in model.parameters()), "parameters for", train["y"].numel(), "values")
trainer = Trainer(max_epochs=EPOCHS, batch_size=2, seed=0, progress=False)
begin = time.perf_counter()
trainer.fit(
    model,
    data,
    optimizer={"name": "adamw", "lr": 3e-3},
    scheduler={"name": "onecycle", "max_lr": 3e-3},
)
print(f"{time.perf_counter() - begin:.0f} s of training")

# %%
# The error, beside two trivial predictors
# ----------------------------------------
# The mean pressure of the training cars, and the pressure of each training car at its point nearest to the point in
# question, averaged over the two. With a single test car there is no standard error.
mean = (train["y.weight"] * train["y"]).sum() / train["y.weight"].sum()
nearest = torch.stack(
    [y[torch.cdist(test["coords"][0], at).argmin(1)] for at, y in zip(train["coords"], train["y"], strict=True)]
).mean(0, keepdim=True)
prediction = trainer.predict(model, test)
print("relative L2 error on the surface:")
for label, guess in {
    "training mean": mean.expand_as(test["y"]),
    "nearest points": nearest,
    "operator": prediction,
}.items():
    print(f"{label:16s} {relative_l2(guess, test['y'], test['y.weight']).item():.3f}")
on_training = relative_l2(trainer.predict(model, train), train["y"], train["y.weight"])
print("operator on the two training cars:", [round(value, 3) for value in on_training.tolist()])

# %%
# The test car and a training car
# -------------------------------
samples = [
    SurfaceSample(
        points=split["coords"][0],
        y=split["y"][0],
        prediction=trainer.predict(model, split)[0],
        triangles=split["y.triangles"][0],
        weights=split["y.weight"][0],
        label=label,
    )
    for label, split in (("test car", test), ("training car", train.select(slice(0, 1))))
]
figure = plot_surface_samples(samples, name="pressure, standardised", path="car.png", **data.card["picture"])
