-- Up Migration

create table carts (
  id text collate "C" primary key,
  customer_id text,
  status text not null,
  revision integer not null,
  lines json not null,
  reservation_id text collate "C",
  hold json not null,
  unanswered json not null,
  order_id text collate "C",
  ordered json,
  check_at timestamptz,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  expires_at timestamptz not null,
  constraint known_status check (status in ('open', 'checked_out', 'expired', 'deleted')),
  constraint only_open_expires check ((status = 'open') = (check_at is not null)),
  constraint order_at_checkout check ((status = 'checked_out') = (order_id is not null))
) with (fillfactor = 40); -- room in each page for HOT updates: a PUT seldom changes a column that an index holds

-- Whose hold, and whose order, an event is about.
create unique index carts_reservation on carts (reservation_id) where reservation_id is not null;
create unique index carts_order on carts (order_id) where order_id is not null;
create index carts_check on carts (check_at) where check_at is not null;
