"""Neural operators: maps between functions that do not depend on how these are sampled."""

from sciml.operators.deeponet import DEEPONET, DeepONet, deeponet
from sciml.operators.fno import FNO
from sciml.operators.fno_block import FNOBlock
from sciml.operators.fourier import frequencies, truncated_fft, truncated_ifft
from sciml.operators.neuraloperator import from_neuraloperator, load_neuraloperator_state_dict
from sciml.operators.spectral_conv import SpectralConv
from sciml.operators.tfno import TFNO
from sciml.operators.tucker_conv import TuckerSpectralConv, tucker_rank

__all__ = [
    "DEEPONET",
    "FNO",
    "TFNO",
    "DeepONet",
    "FNOBlock",
    "SpectralConv",
    "TuckerSpectralConv",
    "deeponet",
    "frequencies",
    "from_neuraloperator",
    "load_neuraloperator_state_dict",
    "truncated_fft",
    "truncated_ifft",
    "tucker_rank",
]
