-- Up Migration

create table products (
  id text collate "C" primary key,
  name text not null,
  skus json not null,
  created_at timestamptz not null,
  updated_at timestamptz not null
);

-- Whose each SKU is: no two products share one.
create table product_skus (
  sku text collate "C" primary key,
  product_id text not null
);
create index product_skus_product_id on product_skus (product_id);
