-- Run once, when the volume of PostgreSQL is new.
create database catalog;
create database inventory;
create database orders;
create database payments;
create database fulfillment;
create database carts;
