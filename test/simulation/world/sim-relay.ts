import { type PartPlan, partByteRange } from "../../../src/core/part-plan.ts";
import { isEnded } from "../../../src/core/relay-url.ts";
import type { VirtualTime } from "../../support/virtual-time.ts";
import type { BackgroundRequest, Transmission } from "./sim-background-fetch.ts";
import { fingerprint } from "./sim-file.ts";
import type { SimS3 } from "./sim-s3.ts";

export interface RelayOptions {
  readonly time: VirtualTime;
  readonly s3: SimS3;
  readonly cookie: () => string | null;
  readonly isOnline: () => boolean;
  readonly bytesPerMs: () => number;
  /** What the upload with this id is cut into, and where it is open at S3. */
  readonly find: (uploadId: string) => { readonly plan: PartPlan; readonly s3UploadId: string } | undefined;
  readonly stored: (uploadId: string, partNumber: number) => void;
}

/**
 * The relay, as far as a browser sees it: it reads a range of parts, stores each as it comes, and answers with what it has
 * stored. The real one streams, for which virtual time has no place.
 */
export class SimRelay {
  readonly #options: RelayOptions;
  readonly #connections = new Set<() => void>();

  constructor(options: RelayOptions) {
    this.#options = options;
  }

  receive(request: BackgroundRequest): Transmission {
    let isReading = false;
    const read = async () => {
      isReading = true;
      try {
        return await this.#read(request);
      } finally {
        isReading = false;
      }
    };
    return { answered: read(), isBeingRead: () => isReading };
  }

  /** Breaks every connection. */
  cut(): void {
    for (const breakOff of [...this.#connections]) breakOff();
  }

  async #read({ url, body }: BackgroundRequest): Promise<Response> {
    const { time, s3, cookie, bytesPerMs, find, stored } = this.#options;
    const { upload = "", first = "1", count = "0", fetch = "" } = Object.fromEntries(url.searchParams);
    const parts: { partNumber: number; etag: string; checksum: null }[] = [];
    const start = Number(first);
    for (let partNumber = start; partNumber < start + Number(count); partNumber++) {
      const open = find(upload);
      if (isEnded(cookie(), fetch)) return new Response(null, { status: 409 });
      if (!open) return new Response(null, { status: 410 });
      const { plan, s3UploadId } = open;
      const offset = partByteRange(plan, start).start;
      const range = partByteRange(plan, partNumber);
      const part = body.slice(range.start - offset, range.end - offset);
      await this.#travel(time, part.size / bytesPerMs());
      const target = new URL(`https://s3.test/bucket/${keyOf(s3, s3UploadId)}`);
      target.search = new URLSearchParams({
        uploadId: s3UploadId,
        partNumber: String(partNumber),
        ...NEVER_EXPIRES,
      }).toString();
      const { status, etag } = s3.put(target, new Headers(), part.size, fingerprint(part));
      if (status !== 200 || !etag) return new Response(null, { status: 410 });
      stored(upload, partNumber);
      parts.push({ partNumber, etag, checksum: null });
    }
    return Response.json({ parts });
  }

  #travel(time: VirtualTime, ms: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const breakOff = () => {
        end();
        reject(new TypeError("Failed to fetch"));
      };
      const undo = time.after(ms, () => {
        end();
        resolve();
      });
      const end = () => {
        undo();
        this.#connections.delete(breakOff);
      };
      this.#connections.add(breakOff);
      if (!this.#options.isOnline()) breakOff();
    });
  }
}

const NEVER_EXPIRES = { "X-Amz-Date": "29991231T000000Z", "X-Amz-Expires": "0" };

function keyOf(s3: SimS3, s3UploadId: string): string {
  return encodeURIComponent(s3.uploads.get(s3UploadId)?.key ?? "");
}
