-- Up Migration

-- What the catalogue has told us.
create table skus (
  sku text collate "C" primary key,
  product_id text not null,
  listed boolean not null
);
create index skus_product_id on skus (product_id);

-- The sum of everything in the log. The constraints are the last guard: no defect of ours gets past them.
-- Key columns sort bytewise, so that every process locks rows in the same order whatever the database's locale.
create table stock (
  sku text collate "C" not null,
  store_id text collate "C" not null,
  product_id text not null,
  quantity_on_hand integer not null,
  quantity_reserved integer not null,
  quantity_available integer not null,
  version bigint not null,
  last_updated_at timestamptz not null,
  listed boolean not null,
  primary key (sku, store_id),
  constraint golden_rule check (quantity_on_hand = quantity_available + quantity_reserved),
  constraint never_oversold check (quantity_available >= 0 and quantity_reserved >= 0)
) with (fillfactor = 70); -- room in each page for HOT updates: no index holds a column that changes

-- Where each record stood after each batch that moved it: stock as of any moment, and the way into the log.
create table stock_history (
  sku text collate "C" not null,
  store_id text collate "C" not null,
  at timestamptz not null,
  version bigint not null,
  quantity_on_hand integer not null,
  quantity_reserved integer not null,
  position bigint not null,
  primary key (sku, store_id, at, version)
);

create table reservations (
  id text collate "C" primary key,
  status text not null,
  lines json not null,
  order_id text,
  reason text,
  refusal json,
  expires_at timestamptz,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  keys json,
  positions bigint[] not null,
  constraint known_status check (status in ('held', 'confirmed', 'committed', 'released', 'expired', 'refused')),
  constraint only_held_expires check ((status = 'held') = (expires_at is not null))
);
-- The open ones, for the sweep of what is overdue and for finding who holds a SKU.
create index reservations_open on reservations (expires_at) where status in ('held', 'confirmed');

create table adjustments (
  id text collate "C" primary key,
  reason text not null,
  actor text not null,
  at timestamptz not null,
  lines json not null
);
