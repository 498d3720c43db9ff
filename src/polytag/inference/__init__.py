"""Using a trained network: the prediction loop, and runs read back from their folders."""
