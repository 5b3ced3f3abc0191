"""The arithmetic in C++, on a CPU."""
