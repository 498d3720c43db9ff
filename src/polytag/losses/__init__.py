"""Losses: functions of logits and multi-hot targets. One file a loss."""
