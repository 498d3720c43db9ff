"""Losses: modules from ``(B, L)`` logits and float targets (NaN or -1 where unknown) to a scalar. One file a loss.

A loss whose logits are no log-odds has an attribute `activation` that says how they become probabilities.
"""
