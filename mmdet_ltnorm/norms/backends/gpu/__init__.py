"""The arithmetic in Triton kernels, for a GPU; importing a file of kernels imports Triton."""
