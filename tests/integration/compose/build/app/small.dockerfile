FROM busybox AS first
RUN echo first >/first
FROM busybox AS last
COPY --from=first /first /copied
FROM busybox AS unused
RUN false
