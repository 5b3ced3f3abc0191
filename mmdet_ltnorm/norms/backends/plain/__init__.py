"""The arithmetic in torch's operations: for any device and type, and what the others must equal."""
