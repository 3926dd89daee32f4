-- Up Migration

-- When the sweep has to look at an open reservation; null once it has ended. On the ordinary way of a sale (held,
-- confirmed, committed) it changes at the end alone, so that the updates before need no index entries.
alter table reservations add column sweep_at timestamptz;
update reservations set sweep_at = coalesce(expires_at, 'infinity') where status in ('held', 'confirmed');
drop index reservations_open;
create index reservations_open on reservations (sweep_at) where sweep_at is not null;
alter table reservations add constraint open_ones_are_swept
  check ((status in ('held', 'confirmed')) = (sweep_at is not null));
-- Those of one batch are confirmed as one batch too: more than half of each page is left free for their HOT updates.
alter table reservations set (fillfactor = 45);
