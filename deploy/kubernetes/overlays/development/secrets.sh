#!/bin/sh
# Makes the three Secrets of the development overlay, with passwords that nobody needs to know. Run it once.
set -eu
namespace=rowhouse-development
owner=$(openssl rand -hex 24)
service=$(openssl rand -hex 24)

secret() {
    name=$1
    shift
    kubectl --namespace "$namespace" create secret generic "$name" "$@"
}

secret rowhouse-postgresql \
    --from-literal=POSTGRES_PASSWORD="$(openssl rand -hex 24)" \
    --from-literal=OWNER_PASSWORD="$owner" \
    --from-literal=SERVICE_PASSWORD="$service"
secret rowhouse \
    --from-literal=DATABASE_URL="postgresql://rowhouse_app:$service@postgresql/rowhouse" \
    --from-literal=JWT_SECRET="$(openssl rand -hex 32)"
secret rowhouse-owner \
    --from-literal=MIGRATION_DATABASE_URL="postgresql://rowhouse_owner:$owner@postgresql/rowhouse"
