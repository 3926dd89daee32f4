-- Up Migration
alter table log validate constraint log_bound;
