# A stand-in for the official rust image: the host's own toolchain on Debian.
FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ gcc libc6-dev make pkg-config \
    && rm -rf /var/lib/apt/lists/*
ENV CARGO_HOME=/usr/local/cargo \
    PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
COPY toolchain/bin/ /usr/local/cargo/bin/
COPY toolchain/lib/ /usr/local/cargo/lib/
COPY host/ /
CMD ["bash"]
