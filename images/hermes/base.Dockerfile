# The base of the agent's image, where a registry has Debian: what build.sh makes with debootstrap elsewhere.
FROM debian:bookworm-slim
ARG PACKAGES
COPY strip.sh /
RUN apt-get update \
    && apt-get install --yes --no-install-recommends $PACKAGES \
    && /strip.sh / \
    && rm /strip.sh
