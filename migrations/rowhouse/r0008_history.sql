-- What the history of tables needs besides the log.

alter table rowhouse.log_state add floor_at timestamptz;
comment on column rowhouse.log_state.floor_at is 'Latest commit of what retention has dropped';

-- When a change was committed, where PostgreSQL keeps that (track_commit_timestamp); else when its statement began. Numbers
-- of transactions from an earlier life say nothing in this one.
create function rowhouse.committed_at(xid xid8, seq bigint, at timestamptz) returns timestamptz
language sql stable as $$
    select case when current_setting('track_commit_timestamp')::boolean
                     and seq >= (select s.first_seq from rowhouse.log_state s)
                then coalesce(pg_xact_commit_timestamp(xid::xid), at) else at end
$$;

create or replace function rowhouse.empty_partition(week text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    highest xid8;
    latest timestamptz;
    has_rows boolean;
begin
    execute format('select exists (select from rowhouse.%I)', week) into has_rows;
    if not has_rows then
        return false;
    end if;
    execute format('lock table rowhouse.%I in access exclusive mode', week);
    -- Numbers of transactions from an earlier life say nothing in this one.
    execute format('select c.xid from rowhouse.%I c where c.seq > (select s.first_seq from rowhouse.log_state s) '
                   'order by c.xid desc limit 1', week) into highest;
    execute format('select max(rowhouse.committed_at(c.xid, c.seq, c.at)) from rowhouse.%I c', week) into latest;
    update rowhouse.log_state s
    set floor_xid = case when highest is null or s.floor_xid > highest then s.floor_xid else highest end,
        floor_snapshot = case when highest is null then s.floor_snapshot else pg_current_snapshot() end,
        floor_at = greatest(s.floor_at, latest);
    execute format('truncate rowhouse.%I', week);
    return true;
end
$$;

-- What keeps a reader from the state of these tables at a moment, a snapshot or a time: null, or 'dropped', 'untracked'
-- or 'unlogged' (rows went by a TRUNCATE that could not be logged).
create function rowhouse.past_is_unknown(tables integer[], seen pg_snapshot, moment timestamptz) returns text
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select case
        when moment <= (select s.floor_at from rowhouse.log_state s) then 'dropped'
        when exists (select from rowhouse.tracked t
                     where t.id = any (tables)
                       and (t.since > moment or not pg_visible_in_snapshot(t.xid, seen)
                            or not t.known <@ rowhouse.known_now(t.relation))) then 'untracked'
        when seen is not null and not rowhouse.can_follow(seen, tables) then 'dropped'
        when exists (select from rowhouse.changes c
                     where c.tracked = any (tables) and c.op = 't' and c.was is null
                       and (rowhouse.committed_at(c.xid, c.seq, c.at) > moment
                            or not pg_visible_in_snapshot(c.xid, seen))) then 'unlogged' end
$$;

-- The key of a row as the log writes it, from its values as texts. They are read below all domains and without length.
create function rowhouse.key_text(relation regclass, key text[], given text[]) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
set timezone = 'UTC' set extra_float_digits = 1 set datestyle = 'ISO' set intervalstyle = 'postgres'
set bytea_output = 'hex' set lc_monetary = 'C' as $$
declare
    listed text := (select string_agg(format('%L::%s as %I', given[k.place], format_type(rowhouse.base_type(a.atttypid), -1),
                                             k.name), ', ' order by k.place)
                    from unnest(key) with ordinality k (name, place)
                    join pg_attribute a on a.attrelid = relation and a.attname = k.name and not a.attisdropped);
    made text;
begin
    execute format('select %s from (select %s) r', rowhouse.key_sql(relation, key, 'r.'), listed) into made;
    return made;
end
$$;

create index changes_at on rowhouse.changes using brin (at);
create index changes_request on rowhouse.changes (request) where request is not null;
create index changes_unlogged on rowhouse.changes (tracked) where op = 't' and was is null;

revoke execute on function rowhouse.committed_at(xid8, bigint, timestamptz), rowhouse.key_text(regclass, text[], text[]),
    rowhouse.past_is_unknown(integer[], pg_snapshot, timestamptz) from public;
grant execute on function rowhouse.committed_at(xid8, bigint, timestamptz), rowhouse.key_text(regclass, text[], text[]),
    rowhouse.past_is_unknown(integer[], pg_snapshot, timestamptz), rowhouse.known_now(regclass),
    rowhouse.base_type(oid), rowhouse.key_sql(regclass, text[], text), rowhouse.column_sql(regclass, text, text),
    rowhouse.is_trusted(regclass) to rowhouse_service;
