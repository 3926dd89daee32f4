-- Up Migration

create table platform.api_keys (
  id uuid primary key,
  name text not null check (length(name) between 1 and 64),
  key_hash bytea not null unique check (length(key_hash) = 32),
  -- The first characters of the key, so that a person can tell which one a list speaks of.
  prefix text not null,
  scopes text[] not null check (cardinality(scopes) > 0 and scopes <@ array['read', 'sell', 'stock', 'admin']),
  created_at timestamptz not null default now(),
  revoked_at timestamptz
);
