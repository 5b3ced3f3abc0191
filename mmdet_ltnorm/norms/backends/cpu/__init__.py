"""The arithmetic in C++, for float32 on a CPU."""
