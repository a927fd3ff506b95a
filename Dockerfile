# One static binary and the certificates it trusts: no shell, no package manager, nothing to patch but ourselves.

FROM golang:1.26 AS build
WORKDIR /src
# The dependencies are a layer of their own: a change of code does not download them again.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# Go reads the version from git. What .dockerignore leaves out would count as changed, and a work tree of another
# repository has none of its own.
RUN if git rev-parse -q HEAD >/dev/null 2>&1; then git ls-files -z --deleted | xargs -0 -r git checkout -q --; else rm -rf .git; fi
ARG VERSION=""
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w ${VERSION:+-X main.version=$VERSION}" -o /out/agentexec ./cmd/agentexec

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/agentexec /agentexec
# An id that exists nowhere else. Nothing is written: the file system may be read-only.
USER 65532:65532
# Loopback would be out of reach in a container. So `serve` asks for authentication here, or for --insecure.
ENV AGENTEXEC_ADDR=0.0.0.0:8484
EXPOSE 8484
ENTRYPOINT ["/agentexec"]
CMD ["serve"]
