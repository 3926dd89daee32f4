-- Up Migration

-- One for each order, under the order's id.
create table payments (
  id text collate "C" primary key,
  reservation_id text not null,
  status text not null,
  amount_minor bigint,
  currency text,
  token text,
  -- Whether the stock is held, and when that was said last: what a replay says once more is older.
  reserved boolean not null,
  hold_at timestamptz,
  -- Why it failed, or why it shall be undone; the detail alone is why it waits.
  code text,
  detail text,
  -- Calls that may have reached the gateway, and how many in a row have settled nothing.
  attempts integer not null,
  failures integer not null,
  due_at timestamptz,
  -- Due at the gateway it is either a worker's turn, for as long as its lease, or waits for its next one.
  next_try_at timestamptz,
  worker text,
  leased_until timestamptz,
  delayed_at timestamptz,
  gateway text,
  gateway_reference text,
  -- What a later try belongs to; kept only while there is one to come.
  traceparent text,
  cause text,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint known_status check (status in ('open', 'charging', 'succeeded', 'failed', 'refunding', 'refunded')),
  constraint leased_to_somebody check ((worker is null) = (leased_until is null)),
  constraint unsettled_is_tried_again check (
    (status in ('charging', 'refunding')) = (next_try_at is not null or worker is not null)
    and (next_try_at is null or worker is null)
  ),
  constraint charged_is_known check (
    status not in ('succeeded', 'refunding', 'refunded')
    or (amount_minor is not null and gateway is not null and gateway_reference is not null)
  )
) with (fillfactor = 35);
-- What waits for its turn at the gateway. A payment that is charged at the first try never does: its updates touch no
-- index, and with so much room in the page they are HOT even when a batch updates all rows of it.
create index payments_waiting on payments (next_try_at) where next_try_at is not null;

-- The turns that a batch has given to its process, one row for all of them, gone when they are over. What is still here
-- after its time was given to a process that has died.
create table leases (
  -- Of the batch: its place in the log.
  position bigint primary key,
  leased_until timestamptz not null,
  payment_ids text[] not null
);

-- The simulated gateway's own books. Nobody but it and `holdfast verify` may look: to us it is a bank far away.
create table simulated_bank (
  id text collate "C" primary key,
  status text not null,
  amount_minor bigint not null,
  currency text not null,
  token text not null,
  reference text not null,
  detail text,
  settles_at timestamptz,
  refunded_minor bigint not null,
  refund_reference text,
  created_at timestamptz not null,
  constraint known_status check (status in ('succeeded', 'declined', 'pending', 'cancelled')),
  constraint refunds_what_was_charged check (
    refunded_minor between 0 and amount_minor and (refunded_minor = 0 or status in ('succeeded', 'pending'))
  )
);
