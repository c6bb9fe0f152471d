# One image for every service; docker-compose.yml says which one runs.
FROM node:24-bookworm-slim AS build
WORKDIR /plinth
COPY package.json package-lock.json tsconfig*.json ./
COPY libs libs
COPY scripts scripts
COPY apps apps
COPY test test
COPY bench bench
RUN npm install --no-save --no-audit --no-fund && node scripts/build.mjs apps/image-builder apps/provisioner apps/distributor apps/host-agent apps/console apps/cli \
 && npm prune --omit=dev --no-save

FROM node:24-bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends crun runc conmon mmdebstrap debian-archive-keyring zstd uidmap util-linux tar libnftables1 netbase xz-utils ca-certificates \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /plinth
COPY --from=build /plinth /plinth
COPY plinth /plinth/plinth
COPY recipes /plinth/recipes
ENV NODE_ENV=production
ENTRYPOINT ["node"]
