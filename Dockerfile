# syntax=docker/dockerfile:1
# The server and its command line, for a PostgreSQL of yours: the embedded one's programs are left out.

FROM node:22.19-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=optional --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY scripts/build.mjs scripts/
COPY src src
RUN node scripts/build.mjs && rm dist/.build-stamp dist/.tsbuildinfo

FROM node:22.19-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts

FROM node:22.19-bookworm-slim
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY package.json LICENSE ./
COPY docs/reference/asyncapi.json docs/reference/
# A number, since Kubernetes cannot tell whether a name is root. Nothing is written: the root may be read-only.
USER 1000:1000
ENV NODE_ENV=production HOLDFAST_HOST=0.0.0.0 HOLDFAST_PORT=7400
EXPOSE 7400
# Asks no dependency: a restart would not mend one. The start period is for migrations of a large database.
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.HOLDFAST_PORT}/livez`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# SIGTERM is handled: what is under way is answered first, for up to 25 seconds.
ENTRYPOINT ["node", "--max-semi-space-size=64", "dist/cli/main.js"]
CMD ["start"]
