"""From files to batches: sources, label table, split, transforms, dataset."""
