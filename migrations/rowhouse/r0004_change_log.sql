-- The change log: every change of a tracked table, written by PostgreSQL itself in the transaction that made it.

create sequence rowhouse.change_seq;

create table rowhouse.changes (
    xid xid8 not null,
    seq bigint not null default nextval('rowhouse.change_seq'),
    at timestamptz not null,
    tracked integer not null,
    op "char" not null,
    key text,
    old_key text,
    was json,
    now json,
    actor text,
    request text,
    source text,
    db_user text not null
) partition by range (at);

comment on table rowhouse.changes is 'Each change of a row of a tracked table';
comment on column rowhouse.changes.xid is 'Transaction that made it: what a follower''s snapshot is compared with';
comment on column rowhouse.changes.seq is 'Order of the changes of a row; a later number may be committed earlier';
comment on column rowhouse.changes.at is 'When its statement began; the log is partitioned by it';
comment on column rowhouse.changes.tracked is 'rowhouse.tracked.id';
comment on column rowhouse.changes.op is 'i insert, u update, d delete, t delete by TRUNCATE';
comment on column rowhouse.changes.key is 'Key as text; of several columns as a record; without a key a hash of the row';
comment on column rowhouse.changes.old_key is 'Key before, where an update changed it';
comment on column rowhouse.changes.was is 'Row before';
comment on column rowhouse.changes.now is 'Row after';
comment on column rowhouse.changes.actor is 'Who asked for it, as the service knows them; a claim where db_user is not the service';
comment on column rowhouse.changes.request is 'Id of the request';
comment on column rowhouse.changes.source is 'rowhouse.source, or else the application_name of the session';
comment on column rowhouse.changes.db_user is 'Database user of the session';

create index changes_xid on rowhouse.changes (xid);
create index changes_seq on rowhouse.changes (seq);
create index changes_key on rowhouse.changes (tracked, left(key, 200));
create index changes_old_key on rowhouse.changes (tracked, left(old_key, 200)) where old_key is not null;

-- Takes what no partition was made for: a late maintenance must never fail anybody's write.
create table rowhouse.changes_default partition of rowhouse.changes default;

create table rowhouse.tracked (
    id integer generated always as identity primary key,
    relation regclass not null unique,
    name text not null,
    parent integer references rowhouse.tracked (id),
    key text[] not null,
    excluded text[] not null,
    places smallint[] not null,
    known text[] not null,
    xid xid8 not null default pg_current_xact_id(),
    since timestamptz not null default now(),
    until timestamptz
);

comment on table rowhouse.tracked is 'Tables whose changes are logged, and those that were';
comment on column rowhouse.tracked.parent is 'Of a child by inheritance: the entry of its parent';
comment on column rowhouse.tracked.excluded is 'Columns that never enter the log';
comment on column rowhouse.tracked.places is 'Numbers of the excluded columns: a renamed one stays excluded';
comment on column rowhouse.tracked.known is 'Columns when it was last arranged';
comment on column rowhouse.tracked.xid is 'Transaction since which it is tracked';

create table rowhouse.log_state (
    is_only boolean primary key default true check (is_only),
    life text,
    first_seq bigint not null default 0,
    floor_xid xid8,
    floor_snapshot pg_snapshot
);
comment on table rowhouse.log_state is 'One row: what of the log can be followed';
comment on column rowhouse.log_state.life is 'rowhouse.life() when following began';
comment on column rowhouse.log_state.first_seq is 'Earlier changes bear the transaction numbers of another life';
comment on column rowhouse.log_state.floor_xid is 'Highest transaction that retention has dropped';
comment on column rowhouse.log_state.floor_snapshot is 'What was visible when it was dropped';
insert into rowhouse.log_state default values;

-- The life of this database: another one after a restore, a promotion or a copy, so that numbers of transactions from
-- elsewhere never match.
create function rowhouse.life() returns text
language sql stable security definer set search_path = pg_catalog as $$
    select left(md5(concat_ws('/', c.epoch, s.system_identifier, p.timeline_id, d.oid,
                              'rowhouse.cluster'::regclass::oid)), 8)
    from rowhouse.cluster c, pg_control_system() s, pg_control_checkpoint() p, pg_database d
    where d.datname = current_database()
$$;

-- The row as it may be logged. Where an excluded column has gone by its name, only what was known is logged: it may
-- have been renamed.
create function rowhouse.loggable(image jsonb, excluded text[], known text[], is_as_known boolean) returns json
language sql immutable set search_path = pg_catalog as $$
    select case when is_as_known then (image - excluded)::text::json
                else (select json_object_agg(e.key, e.value) from jsonb_each(image) e
                      where e.key = any (known) and not e.key = any (excluded)) end
$$;

create function rowhouse.is_own_trigger(name name) returns boolean
language sql immutable set search_path = pg_catalog as $$ select name like '00_rowhouse_%' $$;

-- Whether changes are logged row by row rather than by statement: in a family of inheritance, whose members have columns
-- of their own; and where triggers after each row may change it again, and would be logged before it.
create function rowhouse.is_logged_by_row(relation regclass) returns boolean
language sql stable set search_path = pg_catalog as $$
    select exists (select from pg_inherits i join pg_class p on p.oid = i.inhparent
                   where p.relkind = 'r' and relation in (i.inhrelid, i.inhparent))
        or exists (select from pg_trigger t
                   where t.tgrelid in (select relation union all select relid from pg_partition_tree(relation))
                     and not t.tgisinternal and t.tgtype & 1 = 1 and t.tgtype & 66 = 0
                     and not rowhouse.is_own_trigger(t.tgname))
$$;

-- The key of a row. `fields` is what stands before the name of a column ('x.'), or null to read it from the JSON
-- `image`, whose columns may have been renamed since.
create function rowhouse.key_sql(relation regclass, key text[], fields text, image text) returns text
language sql stable set search_path = pg_catalog as $$
    with part as (
        select k.place,
               case when fields is null then format('%s ->> %L', image, k.name)
                    when t.typname in ('int2', 'int4', 'int8', 'numeric', 'text', 'varchar', 'uuid', 'bool')
                    then format('%s%I::text', fields, k.name)
                    else format('to_json(%s%I) #>> ''{}''', fields, k.name) end as sql
        from unnest(key) with ordinality k (name, place)
        join pg_attribute a on a.attrelid = relation and a.attname = k.name
        join pg_type t on t.oid = a.atttypid
    )
    select case count(*) when 0 then format('md5((%s)::text)', image)
                         when 1 then '(' || min(sql) || ')'
                         else 'row(' || string_agg(sql, ', ' order by place) || ')::text' end
    from part
$$;

-- The function that its triggers call.
create function rowhouse.log_function_sql(entry rowhouse.tracked) returns text
language plpgsql stable set search_path = pg_catalog as $make$
declare
    keyed oid := (select indexrelid from pg_index where indrelid = entry.relation and indisprimary);
    is_plain boolean := entry.excluded = '{}' and not rowhouse.is_logged_by_row(entry.relation);
    context text := $$nullif(current_setting('rowhouse.actor', true), ''),
               nullif(current_setting('rowhouse.request', true), ''),
               coalesce(nullif(current_setting('rowhouse.source', true), ''), current_setting('application_name')),
               session_user$$;
    checked text;
    declared text := '';
    prepared text := '';

    insert_head text := 'insert into rowhouse.changes'
        ' (xid, at, tracked, op, key, old_key, was, now, actor, request, source, db_user)';
    function_head text := 'create or replace function rowhouse.log_%s() returns trigger'
        ' language plpgsql security definer'
        ' set search_path = pg_catalog, pg_temp set timezone = ''UTC'' set datestyle = ''ISO'''
        ' set intervalstyle = ''postgres'' set extra_float_digits = 1 as $log$';
    branches text;
begin
    if entry.excluded <> '{}' then
        declared := E'declare is_as_known boolean;\n';
        prepared := format(
            E'    is_as_known := (select count(*) from pg_attribute where attrelid = tg_relid'
            ' and attname = any (%L::text[]) and not attisdropped) = %s;\n',
            entry.excluded, cardinality(entry.excluded));
    end if;
    branches := rowhouse.log_branches_sql(entry, insert_head, context, false);
    if is_plain and entry.key <> '{}' and keyed is not null then
        -- The names are compiled in, which is fast; where they no longer hold, they are read from the rows' JSON.
        select string_agg(format('pg_get_indexdef(%s, %s, false) = %L', keyed, place, quote_ident(name)), ' and ')
        into checked from unnest(entry.key) with ordinality k (name, place);
        branches := format(E'    if tg_op <> ''TRUNCATE'' and %s then\n%s    else\n%s    end if;\n', checked,
                           rowhouse.log_branches_sql(entry, insert_head, context, true), branches);
    end if;
    return format(function_head, entry.id) || E'\n' || declared || E'begin\n' || prepared || branches
        || E'    return null;\nend\n$log$';
end
$make$;

-- What it does for each operation, with the names of the key compiled in or not.
create function rowhouse.log_branches_sql(entry rowhouse.tracked, head text, context text, is_compiled boolean)
returns text language plpgsql stable set search_path = pg_catalog as $make$
declare
    by_row boolean := rowhouse.is_logged_by_row(entry.relation);
    made text := 'pg_current_xact_id(), statement_timestamp(), ' || entry.id;
    image text := case when entry.excluded = '{}' then 'row_to_json(%s)'
                       else format('rowhouse.loggable(to_jsonb(%%s), %L, %L, is_as_known)',
                                   entry.excluded, entry.known) end;
    now_row text := case when by_row then 'new' else 'x.new_row' end;
    was_row text := case when by_row then 'old' else 'y.old_row' end;
    now_image text := format(image, now_row);
    was_image text := format(image, was_row);
    now_key text := rowhouse.key_sql(entry.relation, entry.key, case when is_compiled then '(x.new_row).' end, now_image);
    was_key text := rowhouse.key_sql(entry.relation, entry.key, case when is_compiled then '(y.old_row).' end, was_image);
    -- A column would go before a whole row of the same name: nobody has a column of these names.
    now_rows text := '(select rowhouse_now as new_row from rowhouse_now) x';
    was_rows text := '(select rowhouse_was as old_row from rowhouse_was) y';
    -- Both hold the rows in the order in which they were updated. Their keys may have changed, or be missing.
    both_rows text := '(select row_number() over () as place, rowhouse_now as new_row from rowhouse_now) x join '
        '(select row_number() over () as place, rowhouse_was as old_row from rowhouse_was) y using (place)';
    truncated text;
    branches text := '';
begin
    branches := format(E'        if tg_op = ''INSERT'' then\n            %s\n            select %s, ''i'', %s, null, null, %s,\n'
                       '               %s%s;\n', head, made, now_key, now_image, context,
                       case when by_row then '' else E'\n            from ' || now_rows end)
        || format(E'        elsif tg_op = ''UPDATE'' then\n            %s\n            select %s, ''u'', %s, nullif(%s, %s), %s, %s,\n'
                  '               %s%s;\n', head, made, now_key, was_key, now_key, was_image, now_image, context,
                  case when by_row then '' else E'\n            from ' || both_rows end)
        || format(E'        elsif tg_op = ''DELETE'' then\n            %s\n            select %s, ''d'', %s, null, %s, null,\n'
                  '               %s%s;\n', head, made, was_key, was_image, context,
                  case when by_row then '' else E'\n            from ' || was_rows end);
    if not is_compiled then
        image := case when entry.excluded = '{}' then 'row_to_json(rowhouse_was)'
                      else format('rowhouse.loggable(to_jsonb(rowhouse_was), %L, %L, $1)', entry.excluded, entry.known) end;
        -- `only`: its partitions and children have triggers of their own.
        truncated := format('%s select %s, ''t'', %s, null, %s, null, %s from only ', head, made,
                            rowhouse.key_sql(entry.relation, entry.key, null, image), image, context);
        branches := branches || format(
            E'        elsif tg_op = ''TRUNCATE'' then\n            execute %L || tg_relid::regclass || '' rowhouse_was''%s;\n', truncated,
            case when entry.excluded = '{}' then '' else ' using is_as_known' end);
    end if;
    return branches || E'        end if;\n';
end
$make$;

-- The triggers that a table needs and lacks, and those that it has and should not have.
create function rowhouse.log_triggers_sql(entry rowhouse.tracked, member regclass) returns setof text
language plpgsql stable set search_path = pg_catalog as $make$
declare
    by_row boolean := rowhouse.is_logged_by_row(entry.relation);
    called text := format(' execute function rowhouse.log_%s()', entry.id);
    wanted jsonb := jsonb_build_object('00_rowhouse_truncate', 'before truncate on %s for each statement');
    present text[];
    name text;
    event text;
begin
    -- Of a partitioned table, PostgreSQL gives row triggers to the partitions by itself.
    if by_row and not exists (select from pg_class where oid = member and relispartition) then
        wanted := wanted || jsonb_build_object('00_rowhouse_row', 'after insert or update or delete on %s for each row');
    elsif not by_row then
        wanted := wanted || jsonb_build_object(
            '00_rowhouse_insert', 'after insert on %s referencing new table as rowhouse_now for each statement',
            '00_rowhouse_update', 'after update on %s referencing old table as rowhouse_was new table as rowhouse_now '
                                  'for each statement',
            '00_rowhouse_delete', 'after delete on %s referencing old table as rowhouse_was for each statement');
    end if;
    select coalesce(array_agg(t.tgname::text), '{}') into present
    from pg_trigger t where t.tgrelid = member and rowhouse.is_own_trigger(t.tgname) and t.tgparentid = 0;
    for name in select p from unnest(present) p where not wanted ? p loop
        return next format('drop trigger %I on %s', name, member);
    end loop;
    for name, event in select e.key, e.value from jsonb_each_text(wanted) e where not e.key = any (present) order by 1 loop
        return next format('create trigger %I ' || event, name, member) || called;
    end loop;
end
$make$;

-- Brings a table's triggers and function in step with the table. Returns the statements that it ran.
create function rowhouse.arrange(tracked_id integer) returns setof text
language plpgsql set search_path = pg_catalog as $$
declare
    entry rowhouse.tracked;
    child regclass;
    owner name := (select pg_get_userbyid(relowner) from pg_class where oid = 'rowhouse.changes'::regclass);
    statement text;
begin
    select * into strict entry from rowhouse.tracked where id = tracked_id;
    entry := rowhouse.as_it_is(entry);
    update rowhouse.tracked set key = entry.key, excluded = entry.excluded, places = entry.places,
        known = entry.known, name = entry.name
    where id = tracked_id and (key, excluded, places, known, name)
        is distinct from (entry.key, entry.excluded, entry.places, entry.known, entry.name);
    statement := rowhouse.log_function_sql(entry);
    if not exists (select from pg_proc p where p.oid = to_regproc('rowhouse.log_' || tracked_id)
                   and position(p.prosrc in statement) > 0) then
        execute statement;
        return next statement;
        statement := format('revoke execute on function rowhouse.log_%s() from public', tracked_id);
        execute statement;
        return next statement;
        if owner <> current_user then
            statement := format('alter function rowhouse.log_%s() owner to %I', tracked_id, owner);
            execute statement;
            return next statement;
        end if;
    end if;
    for statement in
        select s from (select entry.relation as relid union select relid from pg_partition_tree(entry.relation)) m,
                      rowhouse.log_triggers_sql(entry, m.relid) s
    loop
        execute statement;
        return next statement;
    end loop;
    for child in select i.inhrelid from pg_inherits i join pg_class p on p.oid = i.inhparent
                 where i.inhparent = entry.relation and p.relkind = 'r'
                   and not exists (select from rowhouse.tracked t where t.relation = i.inhrelid and t.until is null) loop
        return query select * from rowhouse.track(child, entry.excluded, entry.id);
    end loop;
end
$$;

-- The entry with the columns that the table now has. An excluded column that was renamed stays excluded.
create function rowhouse.as_it_is(entry rowhouse.tracked) returns rowhouse.tracked
language plpgsql stable set search_path = pg_catalog as $$
begin
    select coalesce(array_agg(a.attname::text order by u.n), '{}') into entry.key
    from pg_index i, unnest(i.indkey::int2[]) with ordinality u (attnum, n), pg_attribute a
    where i.indrelid = entry.relation and i.indisprimary and a.attrelid = i.indrelid and a.attnum = u.attnum;
    if entry.key = '{}' and entry.parent is not null then  -- keys are not inherited, but the rows are read by them
        entry.key := (select t.key from rowhouse.tracked t where t.id = entry.parent);
    end if;
    select coalesce(array_agg(a.attname::text order by a.attnum), '{}'), coalesce(array_agg(a.attnum order by a.attnum), '{}')
    into entry.excluded, entry.places
    from pg_attribute a
    where a.attrelid = entry.relation and not a.attisdropped
      and (a.attnum = any (entry.places) or a.attname = any (entry.excluded));
    select coalesce(array_agg(a.attname::text order by a.attnum), '{}') into entry.known
    from pg_attribute a where a.attrelid = entry.relation and a.attnum > 0 and not a.attisdropped;
    entry.name := entry.relation::text;
    return entry;
end
$$;

-- Begins to log a table's changes, and those of its partitions and children. Returns the statements that it ran.
create function rowhouse.track(relation regclass, excluded text[] default '{}', parent integer default null)
returns setof text language plpgsql set search_path = pg_catalog as $$
#variable_conflict use_variable
declare
    kind "char" := (select c.relkind from pg_class c where c.oid = relation);
    missing text := (select string_agg(e, ', ') from unnest(excluded) e
                     where not exists (select from pg_attribute a where a.attrelid = relation and a.attname = e
                                       and not a.attisdropped));
    keyed text := (select string_agg(a.attname, ', ') from pg_index i join pg_attribute a on a.attrelid = i.indrelid
                   and a.attnum = any (i.indkey) where i.indrelid = relation and i.indisprimary
                   and a.attname = any (excluded));
    tracked_id integer;
begin
    if kind not in ('r', 'p') then
        raise exception using errcode = 'wrong_object_type', message = format('%s is no table', relation),
            hint = 'Views and foreign tables cannot be tracked; track the tables behind them.';
    elsif (select c.relispartition from pg_class c where c.oid = relation) then
        raise exception using errcode = 'wrong_object_type', message = format('%s is a partition', relation),
            hint = 'Track the partitioned table; its partitions are tracked with it.';
    elsif missing is not null then
        raise exception using errcode = 'undefined_column', message = format('%s has no column %s', relation, missing);
    elsif keyed is not null then
        raise exception using errcode = 'invalid_parameter_value',
            message = format('%s is of the key of %s, which every change is known by', keyed, relation);
    end if;
    insert into rowhouse.tracked as t (relation, name, parent, key, excluded, places, known)
    values (relation, relation::text, parent, '{}', excluded, '{}', '{}')
    on conflict on constraint tracked_relation_key do update
    set excluded = excluded.excluded, places = '{}', parent = excluded.parent, until = null,
        xid = case when t.until is null then t.xid else excluded.xid end,
        since = case when t.until is null then t.since else excluded.since end
    returning t.id into tracked_id;
    return query select * from rowhouse.arrange(tracked_id);
end
$$;

-- Stops logging a table's changes. What was logged stays. Returns the statements that it ran.
create function rowhouse.untrack(relation regclass) returns setof text
language plpgsql set search_path = pg_catalog as $$
#variable_conflict use_variable
declare
    tracked_id integer;
    child regclass;
    statement text;
begin
    update rowhouse.tracked t set until = now() where t.relation = relation and t.until is null
    returning t.id into tracked_id;
    if tracked_id is null then
        raise exception using errcode = 'undefined_object', message = format('%s is not tracked', relation);
    end if;
    for child in select t.relation from rowhouse.tracked t where t.parent = tracked_id and t.until is null loop
        return query select * from rowhouse.untrack(child);
    end loop;
    for statement in
        select format('drop trigger %I on %s', t.tgname, t.tgrelid::regclass) from pg_trigger t
        where t.tgfoid = to_regproc('rowhouse.log_' || tracked_id) and t.tgparentid = 0
        union all select format('drop function rowhouse.log_%s()', tracked_id)
    loop
        execute statement;
        return next statement;
    end loop;
end
$$;

-- Brings all tracked tables in step: new partitions and children, other columns. Returns how many statements it took.
-- A table whose lock is not to be had at once waits for the next time.
create function rowhouse.arrange_all() returns integer
language plpgsql security definer set search_path = pg_catalog set lock_timeout = '200ms' as $$
declare
    entry record;
    done integer := 0;
begin
    if not pg_try_advisory_xact_lock(7036874417767) then
        return 0;
    end if;
    update rowhouse.tracked t set until = now()
    where t.until is null and not exists (select from pg_class c where c.oid = t.relation);
    for entry in select id from rowhouse.tracked where until is null order by id loop
        begin
            done := done + (select count(*) from rowhouse.arrange(entry.id));
        exception when lock_not_available or insufficient_privilege then
            raise notice 'table % could not be arranged: %', entry.id, sqlerrm;
        end;
    end loop;
    return done;
end
$$;

-- Begins following in this life, if it is another than before: what was logged in an earlier one is history, and is not
-- delivered again.
create function rowhouse.begin_life() returns text
language plpgsql security definer set search_path = pg_catalog as $$
declare
    now_living text := rowhouse.life();
    latest bigint;
begin
    if (select s.life from rowhouse.log_state s) is distinct from now_living then
        perform pg_advisory_xact_lock(7036874417768);
        if (select s.life from rowhouse.log_state s) is distinct from now_living then
            latest := greatest(nextval('rowhouse.change_seq'), (select max(c.seq) from rowhouse.changes c));
            perform setval('rowhouse.change_seq', latest);
            update rowhouse.log_state s set life = now_living, first_seq = latest, floor_xid = null, floor_snapshot = null;
            update rowhouse.tracked t set xid = '3';
        end if;
    end if;
    return now_living;
end
$$;

-- Makes the partitions of the coming weeks, and drops those that ended before the retention. Returns the names of those
-- made and dropped. Writers never wait for it: it takes no lock that it cannot have at once.
create function rowhouse.keep_log(weeks_ahead integer, retention interval) returns setof text
language plpgsql security definer set search_path = pg_catalog set lock_timeout = '200ms' as $$
declare
    starts timestamptz;
    week text;
begin
    if not pg_try_advisory_xact_lock(7036874417769) then
        return;
    end if;
    for ahead in 0..weeks_ahead loop
        starts := date_bin('7 days', now(), '2001-01-01 00:00Z') + ahead * interval '7 days';
        week := 'changes_' || to_char(starts at time zone 'UTC', 'YYYYMMDD');
        continue when to_regclass('rowhouse.' || week) is not null;
        begin
            perform rowhouse.make_partition(week, starts, starts + interval '7 days');
            return next week;
        exception when lock_not_available or check_violation then
            raise notice 'partition % could not be made: %', week, sqlerrm;
        end;
    end loop;
    if retention is null then
        return;
    end if;
    for week in select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
                where i.inhparent = 'rowhouse.changes'::regclass and c.relname ~ '^changes_\d{8}$'
                  and (right(c.relname, 8) || ' 00:00Z')::timestamptz + interval '7 days' <= now() - retention loop
        begin
            perform rowhouse.drop_partition(week);
            return next week;
        exception when lock_not_available then
            raise notice 'partition % could not be dropped: %', week, sqlerrm;
        end;
    end loop;
end
$$;

create function rowhouse.make_partition(week text, starts timestamptz, ends timestamptz) returns void
language plpgsql set search_path = pg_catalog as $$
begin
    execute format('create table rowhouse.%I (like rowhouse.changes including defaults including comments)', week);
    if exists (select from rowhouse.changes_default d where d.at >= starts and d.at < ends) then
        lock table rowhouse.changes_default in access exclusive mode;
        execute format('with late as (delete from rowhouse.changes_default where at >= %L and at < %L returning *) '
                       'insert into rowhouse.%I select * from late', starts, ends, week);
    end if;
    execute format('alter table rowhouse.changes attach partition rowhouse.%I for values from (%L) to (%L)',
                   week, starts, ends);
end
$$;

-- Empties a partition, and remembers which followers have missed it. Emptying locks the partition alone, which nobody
-- writes any more. To take it out of the log needs a lock that writers would queue behind: it is taken only if it is
-- free, and else the next time.
create function rowhouse.drop_partition(week text) returns void
language plpgsql set search_path = pg_catalog as $$
declare
    highest xid8;
begin
    execute format('lock table rowhouse.%I in access exclusive mode', week);
    execute format('select xid from rowhouse.%I order by xid desc limit 1', week) into highest;
    if highest is not null then
        update rowhouse.log_state s
        set floor_xid = case when s.floor_xid > highest then s.floor_xid else highest end,
            floor_snapshot = pg_current_snapshot()
        where s.floor_xid is null or highest < pg_snapshot_xmax(pg_current_snapshot());
        execute format('truncate rowhouse.%I', week);
    end if;
    begin
        lock table rowhouse.changes in access exclusive mode nowait;
        execute format('drop table rowhouse.%I', week);
    exception when lock_not_available then
        raise notice 'partition % is empty, and will be removed later', week;
    end;
end
$$;

-- Whether a follower that has seen this snapshot has missed nothing that is gone, of these tables.
create function rowhouse.can_follow(seen pg_snapshot, tables integer[]) returns boolean
language sql stable security definer set search_path = pg_catalog as $$
    select not exists (select from rowhouse.log_state s
                       where pg_snapshot_xmax(seen) <= s.floor_xid
                          or exists (select from pg_snapshot_xip(seen) x
                                     where x <= s.floor_xid and pg_visible_in_snapshot(x, s.floor_snapshot)))
       and not exists (select from rowhouse.tracked t
                       where t.id = any (tables) and not pg_visible_in_snapshot(t.xid, seen))
$$;

revoke execute on all functions in schema rowhouse from public;
grant execute on function rowhouse.refuse(text, text) to public;
grant execute on function rowhouse.life(), rowhouse.arrange_all(), rowhouse.begin_life(),
    rowhouse.keep_log(integer, interval), rowhouse.can_follow(pg_snapshot, integer[]) to rowhouse_service;
grant select on rowhouse.changes, rowhouse.tracked, rowhouse.log_state, rowhouse.change_seq to rowhouse_service;

select rowhouse.keep_log(4, null);
