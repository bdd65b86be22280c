"""Training: the loop, its hooks, checkpoints and run folders; tasks and methods plug into it."""

from sciml.train.binding import Binding, bind
from sciml.train.build import build_model
from sciml.train.callbacks import EMA, Callback, EarlyStopping
from sciml.train.evaluate import evaluate, predict_split
from sciml.train.load import TrainedModel, load
from sciml.train.loggers import MLflowLogger, TensorBoardLogger, WandbLogger
from sciml.train.method import Method, StepContext, derive_seed
from sciml.train.normalizer import FieldNormalizer, Standardize
from sciml.train.run_folder import RunFolder
from sciml.train.session import FitResult, Interrupted
from sciml.train.task import Phase, Step, Task, device_of
from sciml.train.trainer import Trainer

__all__ = [
    "EMA",
    "Binding",
    "Callback",
    "EarlyStopping",
    "FieldNormalizer",
    "FitResult",
    "Interrupted",
    "MLflowLogger",
    "Method",
    "Phase",
    "RunFolder",
    "Standardize",
    "Step",
    "StepContext",
    "Task",
    "TensorBoardLogger",
    "TrainedModel",
    "Trainer",
    "WandbLogger",
    "bind",
    "build_model",
    "derive_seed",
    "device_of",
    "evaluate",
    "load",
    "predict_split",
]
