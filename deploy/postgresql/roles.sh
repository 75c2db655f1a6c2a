#!/bin/sh
# The three roles, where the database is a container's: run by the image of PostgreSQL when it makes the cluster.
set -eu
psql -v ON_ERROR_STOP=1 -v owner_password="$OWNER_PASSWORD" -v service_password="$SERVICE_PASSWORD" \
    --username postgres --dbname "$POSTGRES_DB" --file /usr/local/share/rowhouse/roles.sql
