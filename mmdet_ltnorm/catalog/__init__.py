"""What the documentation says about the configs, made from their docstrings."""
