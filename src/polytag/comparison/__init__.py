"""Many runs beside one another: which there are, how they differ, which is best, and on what they disagree."""
