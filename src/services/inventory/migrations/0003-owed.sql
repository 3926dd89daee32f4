-- Up Migration

-- What has left although it was not on hand. In the record itself, so that a constraint can hold the two against each
-- other; only batches that touch a record with it write it.
alter table stock
  add column quantity_owed integer not null default 0,
  add constraint owed_when_nothing_is_left check (quantity_owed >= 0 and (quantity_owed = 0 or quantity_on_hand = 0));

alter table stock_history add column quantity_owed integer not null default 0;
