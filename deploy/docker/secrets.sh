#!/bin/sh
# Makes .env beside compose.yaml, with passwords of its own. An .env that is there is left alone.
set -eu
cd "$(dirname "$0")"
if [ -e .env ]; then
    echo "deploy/docker/.env is there already." >&2
    exit 0
fi
umask 077
for name in POSTGRES_PASSWORD OWNER_PASSWORD SERVICE_PASSWORD JWT_SECRET GRAFANA_PASSWORD; do
    echo "$name=$(openssl rand -hex 24)"
done >.env
echo "Made deploy/docker/.env."
