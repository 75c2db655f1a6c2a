-- The order of deliveries. Each delivery stands in the lanes of the rows that it is of: one, or two where a key changes.
-- The first in all its lanes is pending, and the others wait. Who adds to lanes or leaves them holds the webhook's lock
-- until the end of the transaction, so that two who leave at once do not each take the other to be there still.

create function rowhouse.lock_lanes(subscription uuid) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    select pg_advisory_xact_lock(hashtextextended('rowhouse lanes ' || subscription, 0))
$$;

-- Lets go what is now the first in all its lanes, of those that have changed.
create function rowhouse.promote_deliveries(subscription uuid, changed bytea[]) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    update rowhouse.deliveries d set state = 'pending', due_at = clock_timestamp()
    from (select distinct first.delivery from unnest(changed) lane (key)
          cross join lateral (select l.delivery from rowhouse.lanes l where l.webhook = subscription and l.key = lane.key
                              order by l.delivery limit 1) first) head
    where d.id = head.delivery and d.state = 'waiting'
      and not exists (select from unnest(d.keys) lane (key)
                      cross join lateral (select l.delivery from rowhouse.lanes l
                                          where l.webhook = subscription and l.key = lane.key
                                          order by l.delivery limit 1) first
                      where first.delivery <> d.id)
$$;

-- Adds deliveries in this order; those that are there already stay as they are. A first or second key that is null is
-- none; without any, a delivery waits for no other.
create function rowhouse.enqueue_deliveries(
    subscription uuid, messages text[], types text[], first_keys bytea[], second_keys bytea[], bodies text[]
) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    changed bytea[];
begin
    perform rowhouse.lock_lanes(subscription);
    with added as (
        insert into rowhouse.deliveries (webhook, message, type, keys, body, state)
        select subscription, e.message, e.type, array_remove(array[e.first_key, e.second_key], null), e.body,
               case when num_nonnulls(e.first_key, e.second_key) = 0 then 'pending' else 'waiting' end
        from unnest(messages, types, first_keys, second_keys, bodies)
             with ordinality e (message, type, first_key, second_key, body, place)
        order by e.place
        on conflict (webhook, message) do nothing
        returning id, keys
    ), laned as (
        insert into rowhouse.lanes (webhook, key, delivery)
        select subscription, lane.key, a.id from added a cross join unnest(a.keys) lane (key)
        returning key
    )
    select array_agg(distinct l.key) from laned l into changed;
    perform rowhouse.promote_deliveries(subscription, changed);
end
$$;

-- Ends a delivery as delivered or dead after an attempt, and lets the next of its rows go. Returns whether the attempt
-- was still the one that counts: not where its lease ran out, and another worker has taken it.
create function rowhouse.finish_delivery(
    finished bigint, attempt integer, outcome text, answer_status integer, took_ms integer, answered text, problem text
) returns boolean language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    entry record;
begin
    select d.webhook, d.keys from rowhouse.deliveries d where d.id = finished into entry;
    if not found then
        return false;
    end if;
    perform rowhouse.lock_lanes(entry.webhook);
    update rowhouse.deliveries d
    set state = outcome, status = answer_status, duration_ms = took_ms, answer = answered, error = problem,
        finished_at = clock_timestamp()
    where d.id = finished and d.attempts = attempt and d.state = 'pending';
    if not found then
        return false;
    end if;
    delete from rowhouse.lanes l where l.webhook = entry.webhook and l.key = any (entry.keys) and l.delivery = finished;
    perform rowhouse.promote_deliveries(entry.webhook, entry.keys);
    return true;
end
$$;

-- Delivers again what is finished, each row's in its order. It goes before what waits, beside what is under way.
-- Returns how many.
create function rowhouse.replay_deliveries(subscription uuid, chosen bigint[]) returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    changed bytea[];
    number integer;
begin
    perform rowhouse.lock_lanes(subscription);
    with again as (
        update rowhouse.deliveries d
        set state = case when cardinality(d.keys) = 0 then 'pending' else 'waiting' end, due_at = clock_timestamp(),
            attempts = 0, finished_at = null
        where d.webhook = subscription and d.id = any (chosen) and d.state in ('delivered', 'dead')
        returning d.id, d.keys
    ), laned as (
        insert into rowhouse.lanes (webhook, key, delivery)
        select subscription, lane.key, a.id from again a cross join unnest(a.keys) lane (key)
        returning key
    )
    select (select array_agg(distinct l.key) from laned l), (select count(*) from again) into changed, number;
    perform rowhouse.promote_deliveries(subscription, changed);
    return number;
end
$$;

revoke execute on function rowhouse.lock_lanes(uuid), rowhouse.promote_deliveries(uuid, bytea[]),
    rowhouse.enqueue_deliveries(uuid, text[], text[], bytea[], bytea[], text[]),
    rowhouse.finish_delivery(bigint, integer, text, integer, integer, text, text),
    rowhouse.replay_deliveries(uuid, bigint[]) from public;
grant execute on function rowhouse.lock_lanes(uuid), rowhouse.promote_deliveries(uuid, bytea[]),
    rowhouse.enqueue_deliveries(uuid, text[], text[], bytea[], bytea[], text[]),
    rowhouse.finish_delivery(bigint, integer, text, integer, integer, text, text),
    rowhouse.replay_deliveries(uuid, bigint[]) to rowhouse_service;
