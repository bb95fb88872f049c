# One image with the three programs.
#
#   docker build -t tailgauge .                               builds them here
#   docker build -t tailgauge --build-arg BINARIES=host .     takes release
#       binaries built on the host (Linux, glibc 2.36 or older) from
#       .host-binaries/: what CI does, which has them already
#
# Needs BuildKit, for the cache mounts; only the stages asked for are built.
# No `# syntax=` line: the build needs no frontend image besides the two bases.
ARG BINARIES=build

FROM rust:1.95-bookworm AS binaries-build
# Node.js builds the dashboard, which becomes part of the api.
RUN apt-get update \
    && apt-get install -y --no-install-recommends nodejs npm \
    && rm -rf /var/lib/apt/lists/*
ENV TAILGAUGE_DASHBOARD=require npm_config_cache=/var/cache/npm
WORKDIR /src
COPY . .
# The registry and the target folder outlive the build, so that a change costs
# only the crates it touches. What is in a cache mount is in no layer: hence the
# copy. (rust-toolchain.toml is not in the build context: the image's tag says
# which Rust this is.)
RUN --mount=type=cache,id=tailgauge-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=tailgauge-npm,target=/var/cache/npm \
    --mount=type=cache,id=tailgauge-target,target=/src/target,sharing=locked \
    cargo build --release --locked --bin log-generator --bin log-processor --bin api \
    && mkdir /out \
    && cp target/release/log-generator target/release/log-processor target/release/api /out/

FROM scratch AS binaries-host
COPY .host-binaries/ /out/

# The one asked for.
FROM binaries-${BINARIES} AS binaries

FROM debian:bookworm-slim
# For an InfluxDB behind https. (The test is for bases that have them already.)
RUN test -s /etc/ssl/certs/ca-certificates.crt \
    || { apt-get update \
        && apt-get install -y --no-install-recommends ca-certificates \
        && rm -rf /var/lib/apt/lists/*; }
# The folders are here so that a fresh volume mounted on them takes their owner:
# the generator and the processor share the log, the processor and the api the
# state.
RUN groupadd --gid 10001 tailgauge \
    && useradd --uid 10001 --gid tailgauge --no-create-home --home-dir /var/lib/tailgauge \
        --shell /usr/sbin/nologin tailgauge \
    && install -d -o tailgauge -g tailgauge -m 0750 \
        /var/lib/tailgauge /var/lib/tailgauge/logs /var/lib/tailgauge/state
COPY --from=binaries --chmod=0755 /out/ /usr/local/bin/
ENV LOG_FILE_PATH=/var/lib/tailgauge/logs/api_requests.log \
    STATE_DIR=/var/lib/tailgauge/state
USER 10001:10001
WORKDIR /var/lib/tailgauge
EXPOSE 8000 9464
CMD ["log-processor"]
