"""How Depth Pro is trained: losses, data, the curriculum of stages, and the loop."""
