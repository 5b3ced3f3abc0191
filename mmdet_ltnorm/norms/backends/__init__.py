"""The norms' arithmetic in three implementations: torch, C++ for a CPU, Triton for a GPU."""
