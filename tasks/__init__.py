"""The stages: one module each, a plain function and the cached Prefect task over it."""
