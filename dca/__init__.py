"""Direct coupling analysis: from an alignment's tokens to couplings and contact maps."""
