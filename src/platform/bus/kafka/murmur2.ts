const m = 0x5bd1e995;

/** The partition that Kafka's own clients choose for a key, so that all of a key's messages are in one. */
export function partitionOf(key: Buffer, partitions: number): number {
  return (murmur2(key) & 0x7fffffff) % partitions;
}

/** As in Kafka's Java client, a signed 32-bit number. */
export function murmur2(data: Buffer): number {
  let h = 0x9747b28c ^ data.length;
  const end = data.length & ~3;
  for (let i = 0; i < end; i += 4) {
    let k = Math.imul(data.readInt32LE(i), m);
    k = Math.imul(k ^ (k >>> 24), m);
    h = Math.imul(h, m) ^ k;
  }
  const rest = data.length & 3;
  if (rest > 0) {
    for (let i = 0; i < rest; i++) h ^= data[end + i]! << (8 * i);
    h = Math.imul(h, m);
  }
  h = Math.imul(h ^ (h >>> 13), m);
  return h ^ (h >>> 15);
}
