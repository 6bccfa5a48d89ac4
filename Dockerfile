# pixelq in a container.
#
#     docker build --tag pixelq .
#     docker run --rm -it --user "$(id -u):$(id -g)" --volume "$PWD:/runs" pixelq train pong
#
# The container works in /runs. With your folder mounted there, `runs/...` and your own recipes have the same paths as
# outside. `docker stop -t 60` ends a training with a checkpoint; `pixelq resume` continues it.
#
# For an NVIDIA GPU, TORCH names a CUDA build of PyTorch, one that https://pytorch.org/get-started/locally/ offers, as
# uv's --torch-backend spells it (cu126, cu130, ...). The machine needs NVIDIA's driver and its container toolkit.
#
#     docker build --tag pixelq:cuda --build-arg TORCH=cu126 .
#     docker run --rm -it --gpus all --user "$(id -u):$(id -g)" --volume "$PWD:/runs" pixelq:cuda train pong
#
# More games: --build-arg EXTRAS=box2d,minatar (optional-dependencies in pyproject.toml).
# --compile needs a C++ compiler, which is not in the image.
FROM python:3.13-slim

# uv knows where each build of PyTorch is; pip would take the CUDA build.
RUN pip install --no-cache-dir uv==0.13.9

WORKDIR /opt/pixelq
ARG TORCH=cpu
# The dependencies are a layer of their own: a change of the source does not install them anew.
COPY pyproject.toml ./
RUN uv pip install --system --no-cache --compile-bytecode --torch-backend="$TORCH" -r pyproject.toml
ARG EXTRAS=""
COPY README.md LICENSE ./
COPY src src
RUN uv pip install --system --no-cache --compile-bytecode --torch-backend="$TORCH" ".${EXTRAS:+[$EXTRAS]}"

# /runs is open to every user, so that --user works without a mounted folder too.
RUN useradd --create-home --uid 1000 pixelq && install --directory --mode 1777 /runs
# A user given by --user has no home; Matplotlib keeps its font list here.
ENV MPLCONFIGDIR=/tmp/matplotlib
USER 1000
VOLUME ["/runs"]
WORKDIR /runs
ENTRYPOINT ["pixelq"]
CMD ["--help"]
