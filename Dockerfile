# GPU jobs: the torch wheels bring CUDA, so a slim Python base is enough; the host needs only the
# NVIDIA driver and the container toolkit.
#
#   docker build -t paddlex-maskrcnn .
#   docker run --rm --gpus all --shm-size 8g -v "$PWD/data:/data" -v "$PWD/output:/app/output" \
#       paddlex-maskrcnn --config configs/own_data.yaml        (DATA is /data there)
#
# A trained model as an HTTP service (docs/serve.md, which has a health check too):
#   docker run --rm --gpus all --init -p 127.0.0.1:8000:8000 -v "$PWD/output:/models:ro" \
#       --entrypoint python paddlex-maskrcnn \
#       -m paddlex_maskrcnn serve /models/best_model --host 0.0.0.0
FROM python:3.12-slim

# the font is for class names in Chinese, Japanese and Korean on pictures
RUN apt-get update \
    && apt-get install -y --no-install-recommends make git fonts-wqy-zenhei \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 trainer \
    && mkdir -p /app/output /weights \
    && chown -R trainer /app /weights
USER trainer
WORKDIR /app

# what is installed first: another config or command line then installs nothing again
COPY --chown=trainer pyproject.toml constraints.txt README.md LICENSE Makefile ./
COPY --chown=trainer projects ./projects
RUN make install EXTRAS='[serve]' && rm -rf /home/trainer/.cache
COPY --chown=trainer train_net.py ./
COPY --chown=trainer configs ./configs

ENV PATH=/app/.venv/bin:$PATH \
    DATA=/data \
    PADDLEX_MASKRCNN_WEIGHTS=/weights \
    PYTHONUNBUFFERED=1
VOLUME ["/data", "/weights", "/app/output"]
ENTRYPOINT ["python", "train_net.py"]
CMD ["--config", "configs/quickstart.yaml"]
