"""Bytes at rest: workspace, manifest, videos, images, layouts of data sets."""
