#!/bin/sh
# Runs once, in a new PostgreSQL: a user and databases for Drover, a user and databases for Temporal, and neither reads the other's.
#
# Passwords come from files through psql itself, so that none stands in a command line.
set -eu
psql --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\set drover_password `cat /run/secrets/drover-database-password`
\set temporal_password `cat /run/secrets/temporal-database-password`

create role drover login password :'drover_password';
create role temporal login password :'temporal_password';

create database drover owner drover;
create database temporal owner temporal;
create database temporal_visibility owner temporal;

revoke connect on database drover, temporal, temporal_visibility from public;
SQL
