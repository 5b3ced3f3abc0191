"""The arithmetic in torch's operations, for any device and type: the reference for the others."""
