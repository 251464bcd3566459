# sift-rag with its default embedder and its HTTP server, without CUDA. Build: `docker compose --profile serve build`.

FROM python:3.12-slim-bookworm AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN python -m venv /opt/sift-rag
ENV PATH=/opt/sift-rag/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY constraints.txt .
RUN pip install --constraint constraints.txt --extra-index-url "$TORCH_INDEX" torch
COPY pyproject.toml README.md LICENSE ./
COPY sift_rag sift_rag
COPY cli cli
COPY plugins plugins
RUN pip install --constraint constraints.txt --extra-index-url "$TORCH_INDEX" '.[code,embedded,gguf,mcp,offline,office,openai,pdf,qdrant,server]'

FROM python:3.12-slim-bookworm
RUN useradd --uid 10001 --create-home sift
COPY --from=build /opt/sift-rag /opt/sift-rag
ENV PATH=/opt/sift-rag/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
WORKDIR /home/sift
EXPOSE 8600
ENTRYPOINT ["sift-rag"]
CMD ["--help"]
