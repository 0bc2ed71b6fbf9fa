import { randomBytes } from "node:crypto";
import { createReadStream, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { type FileHandle, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import type { VerifiedBody } from "./request-body.ts";

/** A file of bytes that never changes once it is kept. */
export interface Blob {
  readonly id: string;
  readonly size: number;
}

/** Bytes received and verified, still outside of what is kept. */
export interface ReceivedBlob extends Blob, VerifiedBody {}

/** Measured: with 1 MiB a fifth slower. Two of them are in memory for each running upload. */
const BUFFER_BYTES = 4 * 1024 ** 2;

/** The byte files of one bucket. Received into `tempDir`, renamed into `dir` to be kept, both on one file system. */
export class Blobs {
  readonly #dir: string;
  readonly #tempDir: string;
  readonly #readers = new Map<string, number>();
  readonly #discarded = new Set<string>();

  constructor(dir: string, tempDir: string) {
    this.#dir = dir;
    this.#tempDir = tempDir;
    mkdirSync(dir, { recursive: true });
  }

  /** Streams a body into a temporary file, which is gone again if anything is wrong with the body. */
  async receive(body: AsyncGenerator<Buffer, VerifiedBody>): Promise<ReceivedBlob> {
    const id = randomBytes(16).toString("hex");
    const path = join(this.#tempDir, id);
    const file = await open(path, "wx");
    try {
      return { id, ...(await writeAll(file, body)) };
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    } finally {
      await file.close();
    }
  }

  keep({ id }: Blob): void {
    renameSync(join(this.#tempDir, id), join(this.#dir, id));
  }

  /** Drops a received blob that nobody came to keep. */
  async drop({ id }: Blob): Promise<void> {
    await rm(join(this.#tempDir, id), { force: true });
  }

  /** Deletes kept blobs, each as soon as nobody reads it any more. */
  async discard(blobs: Iterable<Blob>): Promise<void> {
    for (const { id } of blobs) {
      if (this.#readers.has(id)) this.#discarded.add(id);
      else await rm(join(this.#dir, id), { force: true });
    }
  }

  /** Bytes `start` to `end`, both included, of the blobs laid end to end. Overwriting does not disturb a running read. */
  read(blobs: readonly Blob[], start: number, end: number): Readable {
    const slices = slicesOf(blobs, start, end);
    for (const { id } of slices) this.#readers.set(id, (this.#readers.get(id) ?? 0) + 1);
    const dir = this.#dir;
    const stream = Readable.from(
      (async function* () {
        for (const { id, ...range } of slices) {
          yield* createReadStream(join(dir, id), { ...range, highWaterMark: 256 * 1024 });
        }
      })(),
      { objectMode: false },
    );
    return stream.once("close", () => {
      for (const { id } of slices) this.#release(id);
    });
  }

  /** Removes what a crash left behind: every blob that no record names. */
  sweep(named: ReadonlySet<string>): void {
    for (const id of readdirSync(this.#dir)) if (!named.has(id)) rmSync(join(this.#dir, id));
  }

  #release(id: string): void {
    const left = (this.#readers.get(id) ?? 1) - 1;
    if (left > 0) {
      this.#readers.set(id, left);
      return;
    }
    this.#readers.delete(id);
    if (this.#discarded.delete(id)) rmSync(join(this.#dir, id), { force: true });
  }
}

/** Writes one bufferful while the next is received and hashed; a WriteStream would stand still until it has drained. */
async function writeAll(file: FileHandle, body: AsyncGenerator<Buffer, VerifiedBody>): Promise<VerifiedBody> {
  let writing: Promise<unknown> = Promise.resolve();
  let buffered: Buffer[] = [];
  let bufferedBytes = 0;
  try {
    for (;;) {
      const next = await body.next();
      if (next.done !== true) {
        buffered.push(next.value);
        bufferedBytes += next.value.length;
        if (bufferedBytes < BUFFER_BYTES) continue;
      }
      await writing;
      writing = writeBuffers(file, buffered, bufferedBytes);
      // Looked at when it is awaited; until then a rejection must not count as unhandled.
      writing.catch(() => {});
      buffered = [];
      bufferedBytes = 0;
      if (next.done === true) return next.value;
    }
  } catch (error) {
    // Lets go of the request, so that the rest of it can be drained.
    await body.throw(error).catch(() => {});
    throw error;
  } finally {
    await writing;
  }
}

async function writeBuffers(file: FileHandle, buffers: readonly Buffer[], bytes: number): Promise<void> {
  if (bytes === 0) return;
  const { bytesWritten } = await file.writev(buffers);
  if (bytesWritten !== bytes) throw new Error(`Only ${bytesWritten} of ${bytes} bytes could be written.`);
}

function slicesOf(
  blobs: readonly Blob[],
  start: number,
  end: number,
): { id: string; start: number; end: number }[] {
  const slices = [];
  let offset = 0;
  for (const { id, size } of blobs) {
    const slice = { id, start: Math.max(0, start - offset), end: Math.min(size - 1, end - offset) };
    if (slice.start <= slice.end) slices.push(slice);
    offset += size;
  }
  return slices;
}
