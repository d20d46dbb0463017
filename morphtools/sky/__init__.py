"""The simulated sky: galaxies with known truth, their images, and volunteers who vote on them."""
