-- A column that enters the log again is not in what was logged while it was left out: whoever follows reads the rows
-- again, and the past before that is not known.
create or replace function rowhouse.track(relation regclass, excluded text[] default '{}', parent integer default null)
returns setof text language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
    tracked_id integer;
    begins_anew boolean;
begin
    perform rowhouse.check_trackable(relation, excluded);
    perform pg_advisory_xact_lock(7036874417767);
    begins_anew := coalesce((select t.until is not null or not t.excluded <@ excluded
                             from rowhouse.tracked t where t.relation = relation), false);
    if begins_anew then  -- whoever is writing still leaves the column out
        execute format('lock table %s in share row exclusive mode', relation);
    end if;
    insert into rowhouse.tracked as t (relation, name, parent, key, excluded, places, known)
    values (relation, relation::text, parent, '{}', excluded, '{}', '{}')
    on conflict on constraint tracked_relation_key do update
    set excluded = excluded.excluded, places = '{}', until = null,
        parent = case when t.until is null then coalesce(excluded.parent, t.parent) else excluded.parent end,
        xid = case when begins_anew then excluded.xid else t.xid end,
        since = case when begins_anew then excluded.since else t.since end
    returning t.id into tracked_id;
    return query select * from rowhouse.arrange(tracked_id);
    -- The triggers have waited for whoever was writing: what these wrote is from before.
    update rowhouse.tracked t set since = clock_timestamp() where t.id = tracked_id and t.xid = pg_current_xact_id();
end
$$;
