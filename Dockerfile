# syntax=docker/dockerfile:1
# The project with what it needs to run, at the versions of constraints.txt: docs/deployments.md.
#   docker build --tag fourier-deepfake .
ARG PYTHON=3.12
FROM python:${PYTHON}-slim

# Extras of pyproject.toml, as in --build-arg EXTRAS=[export]
ARG EXTRAS=

RUN useradd --uid 1000 --create-home deepfake \
    && install --directory --owner deepfake /workspace

# Where Prefect looks for the code of an image, unless told otherwise.
WORKDIR /opt/prefect
COPY . .
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --constraint constraints.txt --editable ".${EXTRAS}"

USER 1000
VOLUME /workspace
# So that ./workspace, the default of every command, is that volume.
WORKDIR /
CMD ["fourier-deepfake", "--help"]
