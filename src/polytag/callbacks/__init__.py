"""What happens around the training: seeding, timing, history, checkpoints, early stopping, progress.

Users add their own with a `_target_` under `callbacks` in the config.
"""
