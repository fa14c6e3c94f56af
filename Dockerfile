# kernas on a CPU:  docker build -t kernas . && docker run --rm -v "$PWD/runs:/home/runs" kernas rank
# For a GPU install the matching JAX too, 'jax[cuda13]', and run with --gpus all.
FROM python:3.12-slim
COPY . /src
RUN pip install --no-cache-dir '/src[search]'
RUN kernas doctor
WORKDIR /home
ENTRYPOINT ["kernas"]
CMD ["--help"]
