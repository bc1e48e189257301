# One pattern for all services:   docker build --build-arg SERVICE=risk-gate --target service -t sigmax/risk-gate .
# and for the jobs of a deploy:   docker build --target deploy -t sigmax/deploy .
#
# What does not depend on SERVICE stands first, so that nine images share the layers of Python and of all libraries and
# differ by the few hundred kB of their own code. Nothing here needs a new builder.
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS libraries
RUN python3 -m venv /opt/venv
COPY requirements-services.lock /src/
RUN /opt/venv/bin/pip install --quiet --no-cache-dir --disable-pip-version-check --no-deps --require-hashes \
        -r /src/requirements-services.lock

# The code of all services at once is little: who changes one file makes one layer anew.
FROM libraries AS code
COPY shared /src/shared
COPY services /src/services
RUN install="/opt/venv/bin/pip install --quiet --no-deps --no-build-isolation --disable-pip-version-check" \
 && $install --target /opt/shared /src/shared \
 && for service in /src/services/*; do \
        name=$(basename "$service") && $install --target "/opt/services/$name" "$service" \
     && mkdir -p "/opt/migrations/$name" && cp -r "$service/migrations" "/opt/migrations/$name/" || exit 1; \
    done

# What only the build needs stays behind.
FROM libraries AS slim
RUN /opt/venv/bin/pip uninstall --quiet --yes hatchling pathspec pluggy trove-classifiers pip

FROM ${PYTHON_IMAGE} AS base
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin PYTHONPATH=/opt/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    SIGMAX_HTTP_HOST=0.0.0.0 SIGMAX_HTTP_PORT=8000 SIGMAX_SECRETS_DIR=/run/secrets
COPY --from=slim /opt/venv /opt/venv
COPY --from=code /opt/shared /opt/app
WORKDIR /opt/app
USER 10001:10001
ARG VERSION=0.1.0
LABEL org.opencontainers.image.version="${VERSION}" org.opencontainers.image.vendor="Sigma-X"

FROM base AS deploy
LABEL org.opencontainers.image.title="Sigma-X deploy" \
      org.opencontainers.image.description="Roles, migrations, queues, and rights of the three servers"
COPY --from=code /opt/migrations /opt/app/services
ENTRYPOINT ["python", "-m", "sigmax.runtime.deploy"]
CMD ["--help"]

FROM base AS service
ARG SERVICE
LABEL org.opencontainers.image.title="Sigma-X ${SERVICE}" \
      org.opencontainers.image.description="See services/${SERVICE}/README.md"
COPY --from=code /opt/services/${SERVICE} /opt/app
ENV SIGMAX_SERVICE=${SERVICE}
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=7s --start-period=180s --retries=6 CMD ["python", "-m", "sigmax.runtime.probe"]
CMD ["python", "-m", "sigmax.runtime"]
