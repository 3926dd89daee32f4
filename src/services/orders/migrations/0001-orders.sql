-- Up Migration

-- What the catalogue has told us, and where it did.
create table prices (
  sku text collate "C" primary key,
  price_minor bigint not null,
  currency text not null,
  product_id text not null,
  listed boolean not null,
  position bigint not null,
  index integer not null
);
create index prices_product_id on prices (product_id);

-- Each order is updated about four times within seconds, and those of one batch together, so two thirds of each page
-- are left free for HOT updates, and no index holds a column that changes, but for the two that say how the order ended.
create table orders (
  id text collate "C" primary key,
  request_id text collate "C" unique,
  fingerprint text,
  customer_id text collate "C" not null,
  lines json not null,
  total_minor bigint not null,
  currency text not null,
  token text not null,
  reservation_id text not null,
  cart_id text,
  created_at timestamptz not null,
  status text not null,
  reason text,
  detail text,
  payment text not null,
  shipped boolean not null,
  committed boolean not null,
  shipped_parts json,
  cancellation_requested text,
  hold_expires_at timestamptz,
  hold_expired boolean not null,
  deadline timestamptz,
  updated_at timestamptz not null,
  ended_at timestamptz,
  -- The status, once it changes no more: an index on the status itself would make every update a new index entry.
  ended_as text,
  heard_to json not null,
  -- Where the order's story stands, in the log and in `heard` alike.
  positions bigint[] not null,
  constraint known_status check (status in
    ('pending', 'reserved', 'paid', 'completed', 'rejected', 'payment_failed', 'cancelled', 'expired')),
  constraint ended_for_good check (
    (ended_as is null) = (status in ('pending', 'reserved', 'paid')) and coalesce(ended_as, status) = status
    and (ended_as is null) = (ended_at is null) and (ended_as is null) = (deadline is not null)),
  constraint completed_when_done check (status <> 'completed' or (shipped and committed))
) with (fillfactor = 35);
create index orders_of_customer on orders (customer_id, id);
create index orders_open on orders (id) where ended_as is null;
create index orders_ended on orders (ended_as, id) where ended_as is not null;

-- What other services' events told of orders: one row for each batch that heard something, at the place that the batch
-- took in the log.
create table heard (
  position bigint primary key,
  at timestamptz not null,
  events text not null
);

-- Events that change nothing about an order and only belong into its story: a row here costs a fraction of a new version
-- of the order's row.
create table asides (
  order_id text collate "C" not null,
  event_id text collate "C" not null,
  -- Where it stands in `heard`.
  position bigint not null,
  at timestamptz not null,
  primary key (order_id, event_id)
);
create index asides_position on asides (position);
