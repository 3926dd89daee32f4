import zlib from "node:zlib";
import { compressionsAlgorithms, crc32c } from "@platformatic/kafka";

/** Room for what one batch unfolds to, so that a small message cannot take all memory. */
const maxOutputLength = 2 ** 28;

/** Newer than the oldest Node.js that we run on. */
const { zstdDecompressSync } = zlib as { zstdDecompressSync?: typeof zlib.gunzipSync };

/** By the number that a batch gives. */
const decoders: Readonly<Record<number, (bytes: Buffer) => Buffer>> = {
  1: (bytes) => zlib.gunzipSync(bytes, { maxOutputLength }),
  2: unsnapped,
  3: (bytes) => decodedAs("lz4", bytes),
  4(bytes) {
    if (zstdDecompressSync === undefined) throw new Error("zstd needs Node.js 22.15 or newer");
    return zstdDecompressSync(bytes, { maxOutputLength });
  },
};

/** The records of a batch that is compressed in this way. */
export function decompressed(batch: Buffer, compression: number): Buffer {
  const decode = decoders[compression];
  if (decode === undefined) throw new Error(`compression ${compression} is not known here`);
  // A decoder in WebAssembly that meets broken bytes is not to be trusted afterwards.
  if (crc32c(batch.subarray(21)) !== batch.readUInt32BE(17)) throw new Error("its checksum is wrong");
  return decode(batch.subarray(61));
}

const xerialMagic = Buffer.from("\x82SNAPPY\0", "latin1");
const xerialHeaderBytes = xerialMagic.length + 8;

/** Java's clients write blocks behind a header, the length before each; others write the plain format. */
function unsnapped(bytes: Buffer): Buffer {
  if (!bytes.subarray(0, xerialMagic.length).equals(xerialMagic)) return decodedAs("snappy", bytes);
  const blocks: Buffer[] = [];
  for (let at = xerialHeaderBytes; at < bytes.length; ) {
    const start = at + 4;
    at = start + bytes.readInt32BE(at);
    if (at < start || at > bytes.length) throw new Error("a block of snappy is not whole");
    blocks.push(decodedAs("snappy", bytes.subarray(start, at)));
  }
  return Buffer.concat(blocks);
}

/** In WebAssembly, whose own words for what is wrong say nothing. */
function decodedAs(codec: "snappy" | "lz4", bytes: Buffer): Buffer {
  try {
    return compressionsAlgorithms[codec].decompressSync(bytes) as Buffer;
  } catch {
    throw new Error(`it is not whole or not ${codec}`);
  }
}
