/** The most files that are read together. */
const LARGEST_GROUP = 512;

interface Read {
  readonly source: Blob;
  readonly resolve: (bytes: ArrayBuffer) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Reads small files, those together that come while others are being read. Chromium sets up shared memory for each read,
 * which takes far longer than to read a few kilobytes.
 */
export class GroupedReads {
  readonly #waiting: Read[] = [];
  #isReading = false;

  /** The bytes of one file. Rejects as its own `arrayBuffer` does. */
  read(source: Blob): Promise<ArrayBuffer> {
    return new Promise<ArrayBuffer>((resolve, reject) => {
      this.#waiting.push({ source, resolve, reject });
      if (!this.#isReading) void this.#readAll();
    });
  }

  async #readAll(): Promise<void> {
    this.#isReading = true;
    // Whatever comes in the same turn is read together.
    await Promise.resolve();
    while (this.#waiting.length > 0) await readTogether(this.#waiting.splice(0, LARGEST_GROUP));
    this.#isReading = false;
  }
}

async function readTogether(group: readonly Read[]): Promise<void> {
  const all = await bytesOf(group.map(({ source }) => source));
  let start = 0;
  for (const { source, resolve, reject } of group) {
    const end = start + source.size;
    // One of them can't be read. The others have done nothing wrong.
    if (all) resolve(all.slice(start, end));
    else await source.arrayBuffer().then(resolve, reject);
    start = end;
  }
}

/** Undefined if they can't all be read. */
async function bytesOf(sources: readonly Blob[]): Promise<ArrayBuffer | undefined> {
  const size = sources.reduce((sum, source) => sum + source.size, 0);
  const bytes = await new Blob([...sources]).arrayBuffer().catch(() => undefined);
  return bytes?.byteLength === size ? bytes : undefined;
}
