"""This machine: its cores, memory and GPU, and what tensors are computed with."""
