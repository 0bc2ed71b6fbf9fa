import { createHash } from "node:crypto";
import type { Readable } from "node:stream";
import { setTimeout as wait } from "node:timers/promises";

/** Turns over one bit. */
export async function* corrupted(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let isFirst = true;
  for await (const chunk of body) {
    if (isFirst) chunk[0] = (chunk[0] ?? 0) ^ 1;
    isFirst = false;
    yield chunk;
  }
}

const SLICE_BYTES = 16 * 1024;

export async function* slowed(body: AsyncIterable<Buffer>, bytesPerSecond: number): AsyncGenerator<Buffer> {
  for await (const chunk of body) {
    for (let at = 0; at < chunk.length; at += SLICE_BYTES) {
      const slice = chunk.subarray(at, at + SLICE_BYTES);
      await wait((slice.length / bytesPerSecond) * 1_000);
      yield slice;
    }
  }
}

/** Breaks off after so many bytes. */
export async function* brokenOff(body: AsyncIterable<Buffer>, bytes: number): AsyncGenerator<Buffer> {
  let left = bytes;
  for await (const chunk of body) {
    if (chunk.length >= left) {
      yield chunk.subarray(0, left);
      throw new Error("broken off, as planned");
    }
    left -= chunk.length;
    yield chunk;
  }
}

export async function drained(body: AsyncIterable<Buffer>): Promise<{ md5: string }> {
  const hash = createHash("md5");
  for await (const chunk of body) hash.update(chunk);
  return { md5: hash.digest("hex") };
}

/** For what is small. */
export async function whole(body: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
