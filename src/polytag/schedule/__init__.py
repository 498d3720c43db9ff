"""The heart: a recipe as pure data, and the thin callbacks that apply it."""
