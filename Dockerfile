# A machine that trains candidates of a run on PostgreSQL: docs/many-machines.md.
#   docker build -t hwkd .
# PIP_OPTIONS names an index with CPU builds of torch; without one the image holds CUDA, too.
#   docker build --build-arg PIP_OPTIONS='--extra-index-url URL' -t hwkd .
#   docker run --rm hwkd worker --storage postgresql://user@host/name --study digits
FROM python:3.11-slim
ARG PIP_OPTIONS=""
WORKDIR /opt/hwkd
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY hwkd hwkd
COPY search_spaces search_spaces
COPY devices devices
RUN pip install --no-cache-dir ${PIP_OPTIONS} -c constraints.txt '.[postgresql,s3]' \
    && useradd --create-home worker
USER worker
WORKDIR /home/worker
# SIGTERM lets a worker finish or give back what it is at within 30 seconds.
STOPSIGNAL SIGTERM
ENTRYPOINT ["hwkd"]
