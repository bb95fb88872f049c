# A stand-in for the official influxdb 2 image: same user, folders, port and
# first-start settings, around an influxd that was built from its Go module.
FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends curl \
    && rm -rf /var/lib/apt/lists/*
RUN groupadd --system --gid 1000 influxdb \
    && useradd --system --uid 1000 --gid influxdb --create-home --home-dir /home/influxdb influxdb \
    && install -d -o influxdb -g influxdb /var/lib/influxdb2 /etc/influxdb2
COPY influxd /usr/local/bin/influxd
COPY influxdb-entrypoint.sh /entrypoint.sh
ENV INFLUXD_BOLT_PATH=/var/lib/influxdb2/influxd.bolt \
    INFLUXD_SQLITE_PATH=/var/lib/influxdb2/influxd.sqlite \
    INFLUXD_ENGINE_PATH=/var/lib/influxdb2/engine
VOLUME /var/lib/influxdb2 /etc/influxdb2
EXPOSE 8086
ENTRYPOINT ["/entrypoint.sh"]
CMD ["influxd"]
