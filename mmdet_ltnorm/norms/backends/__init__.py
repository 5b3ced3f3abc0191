"""Where the norms' arithmetic runs: plain torch operations, C++ on a CPU, Triton on a GPU."""
