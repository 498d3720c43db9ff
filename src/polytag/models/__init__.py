"""The network: a timm backbone, a head, its weights and its layer groups."""
