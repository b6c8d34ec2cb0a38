# syntax=docker/dockerfile:1
# The program alone, on a base without a shell. Both bases are arguments, so that a build can pin
# them by digest (nobody does so by itself) or use a mirror:
#   docker build --build-arg RUST_IMAGE=rust:1.95-bookworm@sha256:… --build-arg RUNTIME_IMAGE=… .
# The dependencies are a layer of their own: a change of src/ compiles only the program.
ARG RUST_IMAGE=rust:1.95-bookworm
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${RUST_IMAGE} AS chef
WORKDIR /build
# zlib is linked statically: the runtime has none. A profile as it is shipped, without debug lines.
ENV LIBZ_SYS_STATIC=1 CARGO_PROFILE_RELEASE_STRIP=debuginfo CARGO_TERM_COLOR=never
RUN cargo install --locked cargo-chef@0.1.78 cargo-auditable@0.7.7

FROM chef AS planner
COPY . .
RUN cargo chef prepare --recipe-path recipe.json --bin vomsis-connect

FROM chef AS builder
# OpenSSL writes the time of its build into itself, and layers hold the times of files: this one instead,
# not the commit's, which would compile every dependency anew with each commit.
ENV SOURCE_DATE_EPOCH=0
COPY --from=planner /build/recipe.json recipe.json
RUN cargo chef cook --release --locked --recipe-path recipe.json --bin vomsis-connect
COPY . .
ARG VOMSIS_REVISION=unknown
# Anything beside libc, libm and libgcc would not be found in the runtime: better to fail here.
RUN VOMSIS_REVISION="$VOMSIS_REVISION" cargo auditable build --release --locked --bin vomsis-connect \
    && mkdir -p /out/lib/vomsis \
    && chmod 0770 /out/lib/vomsis \
    && cp target/release/vomsis-connect /out/ \
    && find /out -exec touch -d "@$SOURCE_DATE_EPOCH" {} + \
    && ldd /out/vomsis-connect >/tmp/needs \
    && ! grep -vE 'linux-vdso|ld-linux|/lib(c|m|gcc_s)\.so' /tmp/needs

FROM ${RUNTIME_IMAGE} AS runtime
ARG VOMSIS_REVISION=unknown
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="vomsis-connect" \
      org.opencontainers.image.description="Vomsis and VakıfBank transactions into Kafka exactly once, refunds from Kafka never twice" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${VOMSIS_REVISION}"
COPY --from=builder /out/vomsis-connect /usr/local/bin/vomsis-connect
# /var/lib/vomsis, a cache: group 0 may write too, for platforms that give each container a user of its own. It is
# copied as what its parent holds, since not every builder gives a target that it makes the mode of its source.
COPY --from=builder --chown=65532:0 /out/lib/ /var/lib/
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/usr/local/bin/vomsis-connect", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/vomsis-connect"]
CMD ["run"]
