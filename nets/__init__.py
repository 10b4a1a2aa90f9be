"""The refiner: a network that turns coevolution into calibrated contact probabilities."""
