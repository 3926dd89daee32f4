/** Quantities are whole numbers up to this one: what a PostgreSQL integer holds. */
export const maxQuantity = 2_147_483_647;
