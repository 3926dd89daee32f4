-- Up Migration

-- What the processes have folded from the inventory's log, so that a start need not read all of it. Rows may be ahead of
-- the cursor, never behind: each states a version, and what is read again changes nothing.
create table availability (
  sku text collate "C" not null,
  store_id text collate "C" not null,
  quantity_available integer not null,
  version bigint not null,
  listed boolean not null,
  -- Where in the inventory's log it was said that the SKU is sold, or is sold no more.
  listing_position bigint not null,
  -- The place of the last change: the batch, and the event in it.
  position bigint not null,
  event_index integer not null,
  primary key (sku, store_id)
) with (fillfactor = 70); -- room in each page for HOT updates: no index holds a column that changes
