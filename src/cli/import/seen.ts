import { hash } from "node:crypto";

/**
 * Remembers in which line each name stood, in 24 to 48 bytes for a name however long. Names are told apart by 64 bits of
 * their hash: that any two of a million share them happens in one file out of 37 million.
 */
export class SeenLines {
  private hashes = new BigUint64Array(1_024);
  private lines = new Uint32Array(1_024);
  private size = 0;

  /** The line of the first row with this name, or undefined if this is the first. */
  firstLineOf(name: string, line: number): number | undefined {
    if (this.size * 2 >= this.lines.length) this.grow();
    const key = hash("sha1", name, "buffer").readBigUInt64LE();
    const slot = this.slotOf(key);
    if (this.lines[slot] !== 0) return this.lines[slot];
    this.put(slot, key, line);
    this.size++;
    return undefined;
  }

  private slotOf(key: bigint): number {
    const mask = this.lines.length - 1;
    let slot = Number(key & BigInt(mask));
    while (this.lines[slot] !== 0 && this.hashes[slot] !== key) slot = (slot + 1) & mask;
    return slot;
  }

  private put(slot: number, key: bigint, line: number): void {
    this.hashes[slot] = key;
    this.lines[slot] = line;
  }

  private grow(): void {
    const { hashes, lines } = this;
    this.hashes = new BigUint64Array(hashes.length * 2);
    this.lines = new Uint32Array(lines.length * 2);
    for (const [i, line] of lines.entries()) {
      if (line !== 0) this.put(this.slotOf(hashes[i]!), hashes[i]!, line);
    }
  }
}
