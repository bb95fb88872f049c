# A stand-in for debian:bookworm-slim, where no image registry can be reached:
# a debootstrap of the same release, told how this host reaches its packages.
FROM scratch
ADD rootfs.tar /
COPY host/ /
CMD ["bash"]
