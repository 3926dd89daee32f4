-- Up Migration

create table shipments (
  id text collate "C" primary key,
  reservation_id text not null,
  status text not null,
  done boolean not null,
  lines json not null,
  parts json not null,
  reason text,
  cancel_wanted json,
  refused_requests json,
  attempts integer not null,
  next_try_at timestamptz,
  origin json not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  -- The few that ended without leaving, so that they are found among the many that left.
  unsent_as text generated always as (case when status in ('cancelled', 'failed') then status end) stored,
  constraint known_status check (status in
    ('open', 'handing_over', 'partly_shipped', 'shipped', 'cancelled', 'failed', 'called_off')),
  constraint done_is_an_end check (done = (status in ('shipped', 'cancelled', 'failed', 'called_off')))
) with (fillfactor = 80);

-- Those that something remains to be done for. On the id, which never changes, and not by status, which would make
-- every step of a shipment an update that is not HOT: only its last one is.
create index shipments_open on shipments (id) where not done;
create index shipments_unsent on shipments (unsent_as, id) where unsent_as is not null;
