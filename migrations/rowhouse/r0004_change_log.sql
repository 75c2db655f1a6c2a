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
comment on column rowhouse.changes.key is 'Key as text, the same for equal keys; of several columns as a record; without a key a hash of the row; '
    'null where a TRUNCATE''s rows could not be read';
comment on column rowhouse.changes.old_key is 'Key before, where an update changed it';
comment on column rowhouse.changes.was is 'Row before; "" holds the names of columns whose null is one of JSON, not of SQL';
comment on column rowhouse.changes.now is 'Row after, likewise';
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
    read_since timestamptz not null default '-infinity',
    until timestamptz
);

comment on table rowhouse.tracked is 'Tables whose changes are logged, and those that were';
comment on column rowhouse.tracked.parent is 'Of a child by inheritance: the entry of its parent';
comment on column rowhouse.tracked.excluded is 'Columns that never enter the log, by every name that they had';
comment on column rowhouse.tracked.places is 'Numbers of the excluded columns: a renamed one stays excluded';
comment on column rowhouse.tracked.known is 'Columns with their types when it was last arranged';
comment on column rowhouse.tracked.read_since is 'Since when all that was logged can be read by the columns of now';
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
-- elsewhere never match. The timeline is the one that is being written: a promoted server's last checkpoint may still
-- be of the one before.
create function rowhouse.life() returns text
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select left(md5(concat_ws('/', c.epoch, s.system_identifier,
                              case when pg_is_in_recovery() then p.timeline_id
                                   else ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::integer end,
                              d.oid, 'rowhouse.cluster'::regclass::oid)), 8)
    from rowhouse.cluster c, pg_control_system() s, pg_control_checkpoint() p, pg_database d
    where d.datname = current_database()
$$;

-- Whether changes are logged row by row rather than by statement: in a family of inheritance, whose members have columns
-- of their own; where triggers after each row may change it again, and would be logged before it; where one before each
-- row may stop a row on its way to another partition, so that old and new rows would not pair; and where one DELETE
-- elsewhere may both update and delete a row by foreign keys, since PostgreSQL puts off a statement's trigger when more
-- rows come.
create function rowhouse.is_logged_by_row(relation regclass) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
    select exists (select from pg_inherits i join pg_class p on p.oid = i.inhparent
                   where p.relkind = 'r' and relation in (i.inhrelid, i.inhparent))
        or exists (select from pg_trigger t join pg_proc f on f.oid = t.tgfoid
                   where t.tgrelid in (select relation union all select relid from pg_partition_tree(relation))
                     and not t.tgisinternal and t.tgtype & 1 = 1 and t.tgtype & 64 = 0
                     and (t.tgtype & 2 = 0 or exists (select from pg_class c where c.oid = relation and c.relkind = 'p'))
                     and not (f.pronamespace = 'rowhouse'::regnamespace and f.proname ~ '^log_\d+$'))
        or coalesce((select bool_or(f.confdeltype = 'c') and bool_or(f.confdeltype in ('n', 'd')) from pg_constraint f
                     where f.conrelid = relation and f.contype = 'f'), false)
$$;

-- The type below all domains.
create function rowhouse.base_type(type oid) returns oid
language sql stable set search_path = pg_catalog, pg_temp as $$
    with recursive below as (
        select t.oid, t.typtype, t.typbasetype from pg_type t where t.oid = type
        union all
        select t.oid, t.typtype, t.typbasetype from below b join pg_type t on t.oid = b.typbasetype where b.typtype = 'd'
    )
    select b.oid from below b where b.typtype <> 'd'
$$;

-- What a row that was logged is read by: columns with their types below all domains, the labels of enums and the
-- attributes of composites. What was logged can be read for as long as nothing of it goes. Texts of any length are one.
create function rowhouse.known_now(relation regclass) returns text[]
language sql stable set search_path = pg_catalog, pg_temp as $$
    with part as (
        select a.attname, t.oid, t.typrelid, t.typelem,
               case when t.oid in ('text'::regtype, 'varchar'::regtype) then 'text'
                    else format_type(t.oid, case when t.oid = a.atttypid then a.atttypmod end) end as type
        from pg_attribute a join pg_type t on t.oid = rowhouse.base_type(a.atttypid)
        where a.attrelid = relation and a.attnum > 0 and not a.attisdropped
    )
    select coalesce(array_agg(k order by k), '{}') from (
        select format('%I %s', p.attname, p.type) k from part p
        union all
        select format('%s %L', e.enumtypid::regtype, e.enumlabel)
        from part p join pg_enum e on e.enumtypid in (p.oid, p.typelem)
        union all
        select format('%s %I %s', c.oid::regclass, a.attname, format_type(a.atttypid, a.atttypmod))
        from part p join pg_type t on t.oid in (p.oid, p.typelem) join pg_class c on c.oid = t.typrelid
        join pg_attribute a on a.attrelid = c.oid where a.attnum > 0 and not a.attisdropped
    ) known
$$;

-- The columns that are logged: not those left out, nor those that are computed only when they are read, which triggers
-- do not see.
create function rowhouse.logged_columns(entry rowhouse.tracked) returns text[]
language sql stable set search_path = pg_catalog, pg_temp as $$
    select coalesce(array_agg(a.attname::text order by a.attnum), '{}') from pg_attribute a
    where a.attrelid = entry.relation and a.attnum > 0 and not a.attisdropped and a.attgenerated <> 'v'
      and not a.attname = any (entry.excluded)
$$;

-- Whether a table is of the log's owner, or of a superuser. Others could give a type of theirs a cast to JSON, and so have
-- the log's owner run what they wrote.
create function rowhouse.is_trusted(relation regclass) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
    select r.rolsuper or t.relowner = l.relowner from pg_class t join pg_roles r on r.oid = t.relowner, pg_class l
    where t.oid = relation and l.oid = 'rowhouse.changes'::regclass
$$;

-- A column's value, written after `fields` ('new.'): as it is, or in a table that is not trusted as text, by its type's
-- output function alone.
create function rowhouse.column_sql(relation regclass, name text, fields text) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    select case when t.typnamespace = 'pg_catalog'::regnamespace or rowhouse.is_trusted(relation)
                then format('%s%I', fields, name)
                else format('case when num_nulls(%1$s%2$I) = 0 then concat(%1$s%2$I) end', fields, name) end
    from pg_attribute a join pg_type t on t.oid = a.atttypid
    where a.attrelid = relation and a.attname = name and not a.attisdropped
$$;

-- Whether each row is logged as it is: no column is left out, and none as text alone.
create function rowhouse.is_logged_whole(entry rowhouse.tracked) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
    select rowhouse.is_trusted(entry.relation)
       and not exists (select from pg_attribute a
                       where a.attrelid = entry.relation and a.attnum > 0 and not a.attisdropped
                         and not a.attname = any (rowhouse.logged_columns(entry)))
$$;

-- What tells which columns of a row hold the null of JSON, which its JSON writes as that of SQL: an array of their names
-- after `fields` ('new.'), or null where no column is of such a type.
create function rowhouse.json_nulls_sql(entry rowhouse.tracked, fields text) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    select 'array[' || string_agg(format('case when %s_typeof(%s%I) = ''null'' then %L end', t.typname, fields, a.attname,
                                         a.attname), ', ' order by a.attnum) || ']'
    from pg_attribute a join pg_type t on t.oid = rowhouse.base_type(a.atttypid)
    where a.attrelid = entry.relation and a.attname = any (rowhouse.logged_columns(entry)) and not a.attisdropped
      and t.oid in ('json'::regtype, 'jsonb'::regtype) and (t.oid = a.atttypid or rowhouse.is_trusted(entry.relation))
$$;

-- The image of a row, with the names of those columns under a name that no column has.
create function rowhouse.with_json_nulls(image json, names text[]) returns json
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select case when count(n) = 0 then image
                else concat(left(image::text, -1), ',"":', json_object_agg(n, null) filter (where n is not null), '}')::json end
    from unnest(names) n
$$;

-- The key of a row, whose columns are written after `fields` ('new.'). Keys that are equal read the same; else it reads as
-- the row's JSON has it, without the cost of JSON where it would be the same.
create function rowhouse.key_sql(relation regclass, key text[], fields text) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    with part as (
        select k.place,
               case when t.typnamespace = 'pg_catalog'::regnamespace and t.typname = 'numeric'
                    then format('trim_scale(%s%I)::text', fields, k.name)
                    when t.typnamespace = 'pg_catalog'::regnamespace
                     and t.typname in ('int2', 'int4', 'int8', 'text', 'varchar', 'bpchar', 'uuid', 'bool')
                    then format('%s%I::text', fields, k.name)
                    when t.typname = 'citext'
                    then format('lower(%s::text)', rowhouse.column_sql(relation, k.name, fields))
                    else format('to_json(%s) #>> ''{}''', rowhouse.column_sql(relation, k.name, fields)) end as sql
        from unnest(key) with ordinality k (name, place)
        join pg_attribute a on a.attrelid = relation and a.attname = k.name and not a.attisdropped
        join pg_type t on t.oid = rowhouse.base_type(a.atttypid)
    )
    select case count(*) when 1 then '(' || min(sql) || ')'
                         else 'row(' || string_agg(sql, ', ' order by place) || ')::text' end
    from part
$$;

-- A query of key and image of rows: of a table `source` ('rowhouse_now'), or where it is null of one record that is
-- called `record` ('new', '($1)'). With `place`, it numbers them.
create function rowhouse.images_sql(entry rowhouse.tracked, source text, record text, place text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $make$
declare
    logged text[] := rowhouse.logged_columns(entry);
    from_source text := coalesce(' from ' || source, '');
    listed text := (select string_agg(rowhouse.column_sql(entry.relation, c, record || '.') || format(' as %I', c), ', '
                                      order by n)
                    from unnest(logged) with ordinality u (c, n));
    is_whole boolean := rowhouse.is_logged_whole(entry);
    json_nulls text := rowhouse.json_nulls_sql(entry, record || '.');
    -- With its star, a name is the whole row even where a column is called the same.
    image text := format('row_to_json(%s)', case when not is_whole then 'c.*' when source is null then record
                                                 else record || '.*' end);
begin
    if not is_whole then
        from_source := case when source is null then ' from ' else from_source || ', lateral ' end
            || format('(select %s) c', coalesce(listed, 'null as nothing'));
    end if;
    if json_nulls is not null then
        image := format('case when num_nonnulls(variadic %2$s) = 0 then %1$s else rowhouse.with_json_nulls(%1$s, %2$s) end',
                        image, json_nulls);
    end if;
    if entry.key <> '{}' then
        return format('select %s%s as key, %s as image', place, rowhouse.key_sql(entry.relation, entry.key, record || '.'),
                      image) || from_source;
    end if;
    return format('select i.*, md5(i.image::text) as key from (select %s%s as image', place, image) || from_source
        || ' offset 0) i';
end
$make$;

-- The statement that logs one kind of change, `op` as in tg_op, or 'UPDATE ONE' of a single row. The rows are in transition tables, or in `rowhouse_was`
-- of a TRUNCATE; `now_record` and `was_record` name them where they come one by one.
create function rowhouse.log_sql(entry rowhouse.tracked, op text, now_record text, was_record text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $make$
declare
    by_row boolean := now_record is not null;
    place text := case when op = 'UPDATE' and not by_row then 'row_number() over () as place, ' else '' end;
    now_rows text := rowhouse.images_sql(entry, case when not by_row then 'rowhouse_now' end,
                                         coalesce(now_record, 'rowhouse_now'), place);
    was_rows text := rowhouse.images_sql(entry, case when not by_row then 'rowhouse_was' end,
                                         coalesce(was_record, 'rowhouse_was'), place);
    columns text := case when op = 'INSERT' then $$'i', n.key, null, null, n.image$$
                         when op = 'DELETE' then $$'d', w.key, null, w.image, null$$
                         when op = 'TRUNCATE' then $$'t', w.key, null, w.image, null$$
                         else $$'u', n.key, nullif(w.key, n.key), w.image, n.image$$ end;
begin
    return 'insert into rowhouse.changes (xid, at, tracked, op, key, old_key, was, now, actor, request, source, db_user)'
        || E'\n            select pg_current_xact_id(), statement_timestamp(), ' || entry.id || ', ' || columns || E',\n'
        || $$                nullif(current_setting('rowhouse.actor', true), ''),
                nullif(current_setting('rowhouse.request', true), ''),
                coalesce(nullif(current_setting('rowhouse.source', true), ''), current_setting('application_name')),
                session_user
            from $$
        || case when op = 'INSERT' then '(' || now_rows || ') n'
                when op in ('DELETE', 'TRUNCATE') then '(' || was_rows || ') w'
                when by_row or op = 'UPDATE ONE' then '(' || now_rows || ') n, (' || was_rows || ') w'
                -- Both hold the rows in the order in which they were updated. Their keys may have changed, or be
                -- missing; and one row may have taken the key of another, so that their order counts.
                else '(' || now_rows || E') n\n            join (' || was_rows || ') w using (place) order by place' end;
end
$make$;

-- The same as the table is now: for a TRUNCATE, which has no transition tables, and where columns have been renamed,
-- added or dropped since the function was made.
create function rowhouse.log_sql_now(tracked_id integer, op text, member regclass, by_row boolean) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $make$
declare
    entry rowhouse.tracked := rowhouse.as_it_is(t) from rowhouse.tracked t where t.id = tracked_id;
begin
    if op = 'TRUNCATE' then  -- `only`: its partitions and children have triggers of their own
        return format('with rowhouse_was as materialized (select * from only %s) ', member)
            || rowhouse.log_sql(entry, op, null, null);
    end if;
    return rowhouse.log_sql(entry, op, case when by_row then '($1)' end, case when by_row then '($2)' end);
end
$make$;

-- Logs all rows of a table that are about to go. Where the log's owner may not read them, or only some, it says that
-- without them.
create function rowhouse.log_truncate(tracked_id integer, member regclass) returns void
language plpgsql set search_path = pg_catalog, pg_temp set row_security = off as $make$
begin
    execute rowhouse.log_sql_now(tracked_id, 'TRUNCATE', member, false);
exception when insufficient_privilege then
    insert into rowhouse.changes (xid, at, tracked, op, actor, request, source, db_user)
    values (pg_current_xact_id(), statement_timestamp(), tracked_id, 't',
            nullif(current_setting('rowhouse.actor', true), ''), nullif(current_setting('rowhouse.request', true), ''),
            coalesce(nullif(current_setting('rowhouse.source', true), ''), current_setting('application_name')),
            session_user);
end
$make$;

-- What the function of a table must set, so that its values read the same whatever the session has set. Each costs a
-- microsecond, and most types need none.
create function rowhouse.log_settings(relation regclass) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    with plain as (
        select coalesce(nullif(case when t.typcategory = 'A' then t.typelem else t.typbasetype end, 0), t.oid) as oid,
               t.typcategory = 'A' as is_array
        from pg_attribute a join pg_type t on t.oid = a.atttypid
        where a.attrelid = relation and a.attnum > 0 and not a.attisdropped
    ), need as (
        select case when t.typtype = 'e' then 0
                    when t.typnamespace <> 'pg_catalog'::regnamespace then 3
                    when t.typname in ('int2', 'int4', 'int8', 'numeric', 'text', 'varchar', 'bpchar', 'name', 'uuid', 'bool',
                                       'date', 'timestamp', 'time', 'timetz', 'json', 'jsonb', 'inet', 'cidr') then 0
                    when t.typname in ('float4', 'float8') then 1
                    when t.typname = 'timestamptz' then 2
                    else 3 end as need
        from plain join pg_type t on t.oid = plain.oid
    )
    -- A plan made for one row pairs thousands by looking at each with each, if it may.
    select concat_ws(' ', 'set search_path = pg_catalog, pg_temp set enable_nestloop = off',
        case when bool_or(need in (1, 3)) then 'set extra_float_digits = 1' end,
        case when bool_or(need in (2, 3)) then 'set timezone = ''UTC''' end,
        case when bool_or(need = 3) then 'set datestyle = ''ISO'' set intervalstyle = ''postgres'' '
                                         'set bytea_output = ''hex'' set lc_monetary = ''C''' end)
    from need
$$;

-- What tells that the columns are still called what the function's names were made from, or null where it has none.
create function rowhouse.as_made_sql(entry rowhouse.tracked) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $make$
declare
    keyed oid := (select indexrelid from pg_index where indrelid = entry.relation and indisprimary);
    columns text;
    checks text := (select string_agg(format('pg_get_indexdef(%s, %s, false) = %L', keyed, n, quote_ident(c)), ' and '
                                      order by n)
                    from unnest(entry.key) with ordinality u (c, n) where keyed is not null);
begin
    if rowhouse.is_logged_whole(entry) and rowhouse.json_nulls_sql(entry, '') is null
       and (entry.key = '{}' or keyed is not null) then
        return checks;
    end if;
    select string_agg(concat_ws(' ', a.attnum, a.atttypid, a.attname), ', ' order by a.attnum) into columns
    from pg_attribute a where a.attrelid = entry.relation and a.attnum > 0 and not a.attisdropped;
    return concat_ws(' and ', checks, format(
        $$(select string_agg(concat_ws(' ', a.attnum, a.atttypid, a.attname), ', ' order by a.attnum) from pg_attribute a
            where a.attrelid = %s and a.attnum > 0 and not a.attisdropped) = %L$$, entry.relation::oid, columns));
end
$make$;

-- The body of the function that a table's triggers call.
create function rowhouse.log_function_body(entry rowhouse.tracked) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $make$
declare
    by_row boolean := rowhouse.is_logged_by_row(entry.relation);
    now_record text := case when by_row then 'new' end;
    was_record text := case when by_row then 'old' end;
    as_made text := rowhouse.as_made_sql(entry);
begin
    return concat(
        E'\n-- ', rowhouse.log_settings(entry.relation), E'\nbegin\n',
        '    if tg_op = ''TRUNCATE'' then', E'\n',
        '        perform rowhouse.log_truncate(', entry.id, E', tg_relid);\n',
        '    elsif not (' || as_made || E') is true then\n'
        || '        execute rowhouse.log_sql_now(' || entry.id || ', tg_op, tg_relid, ' || by_row || ')'
        || case when by_row then ' using new, old' else '' end || E';\n',
        (select string_agg(format(E'    elsif %s then\n        %s;\n', b.met,
                                  rowhouse.log_sql(entry, b.op, now_record, was_record)), '' order by b.n)
         from (values (1, 'INSERT', $$tg_op = 'INSERT'$$),
                      (2, 'DELETE', $$tg_op = 'DELETE'$$),
                      -- One row needs no pairing, which would cost as much as its JSON, key and indexes.
                      (3, 'UPDATE ONE', '(select count(*) from (select from rowhouse_now limit 2) r) = 1'),
                      (4, 'UPDATE', $$tg_op = 'UPDATE'$$)) b (n, op, met)
         where not (by_row and b.op = 'UPDATE ONE')),
        E'    end if;\n    return null;\nend\n');
end
$make$;

-- The triggers that a table needs and lacks, and those that it has and should not have. Triggers fire in the order of
-- their names: with a space at the front, these come before anybody else's.
create function rowhouse.log_triggers_sql(entry rowhouse.tracked, member regclass) returns setof text
language plpgsql stable set search_path = pg_catalog, pg_temp as $make$
declare
    by_row boolean := rowhouse.is_logged_by_row(entry.relation);
    called text := format(' execute function rowhouse.log_%s()', entry.id);
    wanted jsonb := jsonb_build_object(' rowhouse_truncate', 'before truncate on %s for each statement');
    present text[];
    name text;
    event text;
begin
    -- Of a partitioned table, PostgreSQL gives row triggers to the partitions by itself.
    if by_row and not exists (select from pg_class where oid = member and relispartition) then
        wanted := wanted || jsonb_build_object(' rowhouse_row', 'after insert or update or delete on %s for each row');
    elsif not by_row then
        wanted := wanted || jsonb_build_object(
            ' rowhouse_insert', 'after insert on %s referencing new table as rowhouse_now for each statement',
            ' rowhouse_update', 'after update on %s referencing old table as rowhouse_was new table as rowhouse_now '
                                  'for each statement',
            ' rowhouse_delete', 'after delete on %s referencing old table as rowhouse_was for each statement');
    end if;
    select coalesce(array_agg(t.tgname::text), '{}') into present
    from pg_trigger t
    where t.tgrelid = member and t.tgparentid = 0 and t.tgfoid = to_regproc('rowhouse.log_' || entry.id);
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
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    entry rowhouse.tracked;
    owner name := (select pg_get_userbyid(relowner) from pg_class where oid = 'rowhouse.changes'::regclass);
    function text := 'rowhouse.log_' || tracked_id;
    body text;
    relation regclass;
    statement text;
begin
    select * into strict entry from rowhouse.tracked where id = tracked_id;
    entry := rowhouse.as_it_is(entry);
    -- What was logged of a column by another name or type is not read any more: whoever follows must read the rows again.
    update rowhouse.tracked set key = entry.key, excluded = entry.excluded, places = entry.places,
        known = entry.known, name = entry.name,
        xid = case when known <@ entry.known then xid else pg_current_xact_id() end,
        since = case when known <@ entry.known then since else clock_timestamp() end,
        read_since = case when known <@ entry.known then read_since else clock_timestamp() end
    where id = tracked_id and (key, excluded, places, known, name)
        is distinct from (entry.key, entry.excluded, entry.places, entry.known, entry.name);
    body := rowhouse.log_function_body(entry);
    if not exists (select from pg_proc p where p.oid = to_regproc(function) and p.prosrc = body) then
        foreach statement in array array[
            format('create or replace function %s() returns trigger language plpgsql security definer %s as %L',
                   function, rowhouse.log_settings(entry.relation), body),
            format('revoke execute on function %s() from public', function),
            case when owner <> current_user then format('alter function %s() owner to %I', function, owner) end
        ] loop
            continue when statement is null;
            execute statement;
            return next statement;
        end loop;
    end if;
    -- A partition that was tracked before it was one, is of the whole table now.
    for relation in select t.relation from rowhouse.tracked t join pg_partition_tree(entry.relation) p on p.relid = t.relation
                    where t.until is null and t.id <> tracked_id loop
        return query select * from rowhouse.untrack(relation);
    end loop;
    for statement in
        select format('drop trigger %I on %s', t.tgname, t.tgrelid::regclass) from pg_trigger t
        where t.tgfoid = to_regproc(function) and t.tgparentid = 0 and t.tgrelid <> entry.relation
          and not exists (select from pg_partition_tree(entry.relation) p where p.relid = t.tgrelid)
        union all
        select s from (select entry.relation as relid union select relid from pg_partition_tree(entry.relation)) m,
                      rowhouse.log_triggers_sql(entry, m.relid) s
    loop
        execute statement;
        return next statement;
    end loop;
    for relation in select i.inhrelid from pg_inherits i join pg_class p on p.oid = i.inhparent
                    where i.inhparent = entry.relation and p.relkind = 'r'
                      and not exists (select from rowhouse.tracked t where t.relation = i.inhrelid and t.until is null) loop
        return query select * from rowhouse.track(
            relation, array(select e from unnest(entry.excluded) e join pg_attribute a on a.attname = e
                            where a.attrelid = relation and not a.attisdropped), entry.id);
    end loop;
end
$$;

-- The entry with the columns that the table now has. A column that is left out stays so, by its place and by its name:
-- also one that was renamed, and one that was dropped and made again.
create function rowhouse.as_it_is(entry rowhouse.tracked) returns rowhouse.tracked
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
    select coalesce(array_agg(a.attname::text order by u.n), '{}') into entry.key
    from pg_index i, unnest(i.indkey::int2[]) with ordinality u (attnum, n), pg_attribute a
    where i.indrelid = entry.relation and i.indisprimary and u.n <= i.indnkeyatts
      and a.attrelid = i.indrelid and a.attnum = u.attnum;
    if entry.key = '{}' and entry.parent is not null then  -- keys are not inherited, but the rows are read by them
        entry.key := (select (rowhouse.as_it_is(t)).key from rowhouse.tracked t where t.id = entry.parent);
        if not entry.key <@ array(select a.attname::text from pg_attribute a
                                  where a.attrelid = entry.relation and not a.attisdropped) then
            entry.key := '{}';
        end if;
    end if;
    select array(select unnest(entry.excluded) union select unnest(array_agg(a.attname::text)) order by 1),
           coalesce(array_agg(a.attnum order by a.attnum), '{}')
    into entry.excluded, entry.places
    from pg_attribute a
    where a.attrelid = entry.relation and not a.attisdropped
      and (a.attnum = any (entry.places) or a.attname = any (entry.excluded));
    entry.known := rowhouse.known_now(entry.relation);
    if entry.key && entry.excluded then  -- it became the key later, and still must not be logged
        entry.key := '{}';
    end if;
    entry.name := entry.relation::text;
    return entry;
end
$$;

-- Raises what speaks against tracking a table.
create function rowhouse.check_trackable(relation regclass, excluded text[]) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    class pg_class := c from pg_class c where c.oid = relation;
    owner name := (select pg_get_userbyid(relowner) from pg_class where oid = 'rowhouse.changes'::regclass);
    missing text := (select string_agg(e, ', ') from unnest(excluded) e
                     where not exists (select from pg_attribute a where a.attrelid = relation and a.attname = e
                                       and a.attnum > 0 and not a.attisdropped));
    keyed text := (select string_agg(a.attname, ', ') from pg_index i join pg_attribute a on a.attrelid = i.indrelid
                   and a.attnum = any (i.indkey) where i.indrelid = relation and i.indisprimary
                   and a.attname = any (excluded));
begin
    if class.relkind not in ('r', 'p') then
        raise exception using errcode = 'wrong_object_type', message = format('%s is no table', relation),
            hint = 'Views and foreign tables cannot be tracked; track the tables behind them.';
    elsif class.relispartition then
        raise exception using errcode = 'wrong_object_type', message = format('%s is a partition', relation),
            hint = 'Track the partitioned table; its partitions are tracked with it.';
    elsif class.relpersistence = 't' then
        raise exception using errcode = 'wrong_object_type', message = format('%s is a temporary table', relation);
    elsif class.relnamespace in ('rowhouse'::regnamespace, 'pg_catalog'::regnamespace,
                                 'information_schema'::regnamespace) then
        raise exception using errcode = 'wrong_object_type',
            message = format('%s is a table of Rowhouse''s or PostgreSQL''s own', relation);
    elsif exists (select from pg_partition_tree(relation) p join pg_class c on c.oid = p.relid where c.relkind = 'f') then
        raise exception using errcode = 'wrong_object_type',
            message = format('%s has partitions that are foreign tables', relation),
            hint = 'PostgreSQL cannot tell what changes in them.';
    elsif missing is not null then
        raise exception using errcode = 'undefined_column', message = format('%s has no column %s', relation, missing);
    elsif keyed is not null then
        raise exception using errcode = 'invalid_parameter_value',
            message = format('%s is of the key of %s, which every change is known by', keyed, relation);
    elsif not has_table_privilege(owner, relation, 'select') then
        raise exception using errcode = 'insufficient_privilege',
            message = format('%s may not read %s, whose rows it would keep', owner, relation),
            hint = format('grant select, trigger on %s to %I', relation, owner);
    end if;
end
$$;

-- Begins to log a table's changes, and those of its partitions and children. Returns the statements that it ran.
create function rowhouse.track(relation regclass, excluded text[] default '{}', parent integer default null)
returns setof text language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
    tracked_id integer;
begin
    perform rowhouse.check_trackable(relation, excluded);
    perform pg_advisory_xact_lock(7036874417767);
    insert into rowhouse.tracked as t (relation, name, parent, key, excluded, places, known)
    values (relation, relation::text, parent, '{}', excluded, '{}', '{}')
    on conflict on constraint tracked_relation_key do update
    set excluded = excluded.excluded, places = '{}', until = null,
        parent = case when t.until is null then coalesce(excluded.parent, t.parent) else excluded.parent end,
        xid = case when t.until is null then t.xid else excluded.xid end,
        since = case when t.until is null then t.since else excluded.since end
    returning t.id into tracked_id;
    return query select * from rowhouse.arrange(tracked_id);
    -- The triggers have waited for whoever was writing: what these wrote is from before.
    update rowhouse.tracked t set since = clock_timestamp() where t.id = tracked_id and t.xid = pg_current_xact_id();
end
$$;

-- Stops logging a table's changes. What was logged stays. Returns the statements that it ran.
create function rowhouse.untrack(relation regclass) returns setof text
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
    tracked_id integer;
    child regclass;
    statement text;
begin
    perform pg_advisory_xact_lock(7036874417767);
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
-- A table that cannot be arranged, or not at once, waits for the next time. With `at_most`, it stops after so many tables
-- that needed something: their locks are held until the end.
create function rowhouse.arrange_all(at_most integer default null) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '200ms' as $$
declare
    entry record;
    changed integer := 0;
    done integer := 0;
    statements integer;
begin
    if not pg_try_advisory_xact_lock(7036874417767) then
        return 0;
    end if;
    update rowhouse.tracked t set until = now()
    where t.until is null and not exists (select from pg_class c where c.oid = t.relation);
    for entry in select id, relation from rowhouse.tracked where until is null order by id loop
        begin
            select count(*) into statements from rowhouse.arrange(entry.id);
            done := done + statements;
            changed := changed + sign(statements)::integer;
        exception when others then
            raise warning 'table % could not be arranged: %', entry.relation, sqlerrm;
        end;
        exit when changed >= at_most;
    end loop;
    return done;
end
$$;

-- Begins following in this life, if it is another than before: what was logged in an earlier one is history, and is not
-- delivered again. A dump has the sequence as well, so that numbers go on.
create function rowhouse.begin_life() returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    now_living text := rowhouse.life();
    latest bigint;
begin
    if (select s.life from rowhouse.log_state s) is distinct from now_living then
        perform pg_advisory_xact_lock(7036874417768);
        if (select s.life from rowhouse.log_state s) is distinct from now_living then
            latest := nextval('rowhouse.change_seq');
            update rowhouse.log_state s set life = now_living, first_seq = latest, floor_xid = null, floor_snapshot = null;
            update rowhouse.tracked t set xid = '3';
        end if;
    end if;
    return now_living;
end
$$;

-- Makes the partitions of the coming weeks, and drops those that ended before the retention. Returns the names of those
-- made and emptied. Writers never wait for it: it takes no lock of theirs that it cannot have at once.
create function rowhouse.keep_log(weeks_ahead integer, retention interval) returns setof text
language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' set lock_timeout = '200ms' as $$
declare
    starts timestamptz;
    week text;
begin
    if not pg_try_advisory_xact_lock(7036874417769) then
        return;
    end if;
    for starts in select date_bin('7 days', now() + ahead * interval '7 days', '2001-01-01 00:00Z')
                  from generate_series(0, weeks_ahead) ahead
                  union select date_bin('7 days', d.at, '2001-01-01 00:00Z') from rowhouse.changes_default d
                  order by 1 loop
        week := 'changes_' || to_char(starts, 'YYYYMMDD');
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
    for week in select rowhouse.ended_partitions(retention) loop
        begin
            if rowhouse.empty_partition(week) then
                return next week;
            end if;
        exception when lock_not_available then
            raise notice 'partition % could not be emptied: %', week, sqlerrm;
        end;
    end loop;
    perform rowhouse.drop_empty_partitions(retention);
end
$$;

create function rowhouse.ended_partitions(retention interval) returns setof text
language sql stable set search_path = pg_catalog, pg_temp as $$
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'rowhouse.changes'::regclass and c.relname ~ '^changes_\d{8}$'
      and (right(c.relname, 8) || ' 00:00Z')::timestamptz + interval '7 days' <= now() - retention
    order by 1
$$;

create function rowhouse.make_partition(week text, starts timestamptz, ends timestamptz) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
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

-- Empties a partition, and remembers which followers have missed it. That locks the partition alone, which nobody
-- writes any more. Returns whether there was anything in it.
create function rowhouse.empty_partition(week text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    highest xid8;
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
    if highest is not null then
        update rowhouse.log_state s
        set floor_xid = case when s.floor_xid > highest then s.floor_xid else highest end,
            floor_snapshot = pg_current_snapshot();
    end if;
    execute format('truncate rowhouse.%I', week);
    return true;
end
$$;

-- Removes empty partitions. That needs a lock that writers would queue behind: it is taken only in a moment in which it
-- is free, and else the next time. Until then an empty partition costs nothing.
create function rowhouse.drop_empty_partitions(retention interval) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    week text;
    has_rows boolean;
begin
    if not exists (select from rowhouse.ended_partitions(retention)) then
        return;
    end if;
    for attempt in 1..20 loop
        begin
            lock table rowhouse.changes in access exclusive mode nowait;
            for week in select rowhouse.ended_partitions(retention) loop
                execute format('select exists (select from rowhouse.%I)', week) into has_rows;
                if not has_rows then
                    execute format('drop table rowhouse.%I', week);
                end if;
            end loop;
            return;
        exception when lock_not_available then
            perform pg_sleep(0.01);
        end;
    end loop;
end
$$;

-- Whether a follower that has seen this snapshot has missed nothing that is gone, of these tables. After a crash numbers
-- of transactions that left nothing on disk are given again: a snapshot from ahead of the present means others by them.
create function rowhouse.can_follow(seen pg_snapshot, tables integer[]) returns boolean
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select pg_snapshot_xmax(seen) <= pg_snapshot_xmax(pg_current_snapshot())
       and not exists (select from rowhouse.log_state s
                       where pg_snapshot_xmax(seen) <= s.floor_xid
                          or exists (select from pg_snapshot_xip(seen) x
                                     where x <= s.floor_xid and pg_visible_in_snapshot(x, s.floor_snapshot)))
       and not exists (select from rowhouse.tracked t
                       where t.id = any (tables) and not pg_visible_in_snapshot(t.xid, seen))
$$;

revoke execute on all functions in schema rowhouse from public;
grant execute on function rowhouse.refuse(text, text) to public;
grant execute on function rowhouse.life(), rowhouse.arrange_all(integer), rowhouse.begin_life(),
    rowhouse.keep_log(integer, interval), rowhouse.can_follow(pg_snapshot, integer[]) to rowhouse_service;
grant select on rowhouse.changes, rowhouse.changes_default, rowhouse.tracked, rowhouse.log_state, rowhouse.change_seq to rowhouse_service;

select rowhouse.keep_log(4, null);
