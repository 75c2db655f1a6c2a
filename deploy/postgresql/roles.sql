-- The three roles of a production database. Run once, as an administrator, with passwords of your own:
--
--     psql -v owner_password=… -v service_password=… -f roles.sql the_database
--
-- rowhouse_owner    owns the tables; only migrations connect as it      MIGRATION_DATABASE_URL
-- rowhouse_service  what the service may do, and no more
-- rowhouse_app      the service's login, a member of rowhouse_service   DATABASE_URL

create role rowhouse_owner login password :'owner_password' noinherit;
create role rowhouse_service nologin nosuperuser nobypassrls nocreaterole nocreatedb;
create role rowhouse_app login password :'service_password' in role rowhouse_service nosuperuser nobypassrls;

select format('grant create, connect on database %I to rowhouse_owner', current_database()) \gexec
select format('grant connect on database %I to rowhouse_app', current_database()) \gexec
grant usage, create on schema public to rowhouse_owner;
grant usage on schema public to rowhouse_service;
