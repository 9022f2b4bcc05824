"""The loop over timesteps: `run`, what it chooses to run, and the plain paths."""
