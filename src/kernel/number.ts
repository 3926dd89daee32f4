/** For people to read: "12,000". */
export function withCommas(value: number): string {
  return value.toLocaleString("en-US");
}
