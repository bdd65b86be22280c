"""Writing data files in layouts that others read: those of PDEBench and of The Well."""

from sciml.data.writers.pdebench import PDEBenchWriter, save_pdebench
from sciml.data.writers.well import WellWriter, save_well

__all__ = ["PDEBenchWriter", "WellWriter", "save_pdebench", "save_well"]
