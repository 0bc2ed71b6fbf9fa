import type {
  BeginAnswer,
  BeginIntent,
  PartReceipt,
  PartToSign,
  StorageCall,
  StorageFault,
  StoredObject,
  UploadedPart,
  UploadStorage,
} from "../../../src/core/storage.ts";
import type { SeenRequest } from "../../support/scripted-fetch.ts";
import { etagOf, textOf } from "./text-blob.ts";

type Answer = Error | (() => Promise<unknown>);
type PutAnswer = Response | Error | ((request: SeenRequest) => Response | Promise<Response>);

/**
 * A storage and the S3 behind it, for one test. It does what it is asked unless the test has put in another answer. Each call
 * is noted by its name, each PUT by its part.
 */
export class SmallS3 implements UploadStorage {
  readonly calls: (StorageCall | `put ${number}`)[] = [];
  readonly intents: BeginIntent[] = [];
  readonly aborted: string[] = [];
  /** Uploads that `beginMany` refuses, by id. */
  readonly refused = new Map<string, StorageFault>();
  /** By token, then by part number. */
  readonly parts = new Map<string, Map<number, UploadedPart>>();
  readonly #sizes = new Map<string, BeginIntent>();
  readonly #answers = new Map<StorageCall, Answer[]>();
  readonly #putAnswers: PutAnswer[] = [];
  /** Nobody is signed in, and what is answered is for the uploads' tokens. */
  isUnattended = false;
  /** Parts a `uploadedParts` page holds at most. */
  pageSize = 1_000;
  /** Of every PUT that is not answered otherwise; undefined for the bytes' MD5. */
  etag: string | undefined;

  /**
   * The outcomes of the next calls of this kind, in place of the usual one: faults, or something to wait for
   * first.
   */
  answer(operation: StorageCall, ...answers: Answer[]): void {
    this.#answers.set(operation, [...(this.#answers.get(operation) ?? []), ...answers]);
  }

  /** The answers to the next PUTs. */
  answerPut(...answers: PutAnswer[]): void {
    this.#putAnswers.push(...answers);
  }

  /** Calls of this kind so far. */
  count(operation: StorageCall | "put"): number {
    return this.calls.filter((call) => call === operation || call.split(" ")[0] === operation).length;
  }

  begin(intent: BeginIntent) {
    this.intents.push(intent);
    return this.#do("begin", () => {
      const token = `t${this.parts.size + 1}`;
      this.open(token, intent);
      return { token, key: intent.key };
    });
  }

  beginMany(intents: readonly BeginIntent[]) {
    return this.#do("beginMany", (): (BeginAnswer | StorageFault)[] =>
      intents.map((intent) => {
        this.intents.push(intent);
        const refusal = this.refused.get(intent.uploadId);
        if (refusal) return refusal;
        const token = `t${this.parts.size + 1}`;
        this.open(token, intent);
        return { token, key: intent.key };
      }),
    );
  }

  sign(token: string, parts: readonly PartToSign[]) {
    return this.#do("sign", () =>
      parts.map(({ partNumber }) => ({
        partNumber,
        url: `https://s3.test/${token}?part=${partNumber}`,
        headers: {},
        expiresInMs: 900_000,
      })),
    );
  }

  uploadedParts(token: string, after: number) {
    return this.#do("uploadedParts", () => {
      const later = [...this.#partsOf(token).values()].filter(({ partNumber }) => partNumber > after);
      later.sort((a, b) => a.partNumber - b.partNumber);
      const parts = later.slice(0, this.pageSize);
      return { parts, next: later.length > parts.length ? (parts.at(-1)?.partNumber ?? null) : null };
    });
  }

  complete(token: string, parts: readonly PartReceipt[]) {
    return this.#do("complete", (): StoredObject => {
      const { key = "a.jpg" } = this.#sizes.get(token) ?? {};
      let size = 0;
      for (const { partNumber } of parts) size += this.#partsOf(token).get(partNumber)?.size ?? 0;
      return { key, size, etag: "whole", location: `https://s3.test/${key}` };
    });
  }

  abort(token: string) {
    return this.#do("abort", () => void this.aborted.push(token));
  }

  /** Opens an upload as `begin` does. */
  open(token: string, intent?: BeginIntent): void {
    this.parts.set(token, new Map());
    if (intent) this.#sizes.set(token, intent);
  }

  /** Stores a part as if somebody else had sent it. */
  store(token: string, partNumber: number, text: string, etag = etagOf(text)): string {
    this.#partsOf(token).set(partNumber, { partNumber, etag, size: text.length, checksum: null });
    return etag;
  }

  readonly fetch = async (input: string | URL | Request, init: RequestInit): Promise<Response> => {
    const url = new URL(input instanceof Request ? input.url : input);
    const partNumber = Number(url.searchParams.get("part"));
    this.calls.push(`put ${partNumber}`);
    init.signal?.throwIfAborted();
    const answer = this.#putAnswers.shift();
    if (answer instanceof Error) throw answer;
    if (answer) return typeof answer === "function" ? answer({ url: url.href, init }) : answer;
    const etag = this.store(url.pathname.slice(1), partNumber, textOf(init.body as Blob), this.etag);
    return new Response(null, { headers: { etag: `"${etag}"` } });
  };

  async #do<T>(operation: StorageCall, work: () => T): Promise<T> {
    this.calls.push(operation);
    const answer = this.#answers.get(operation)?.shift();
    if (answer instanceof Error) throw answer;
    await answer?.();
    return work();
  }

  #partsOf(token: string): Map<number, UploadedPart> {
    if (!this.parts.has(token)) this.open(token);
    return this.parts.get(token) as Map<number, UploadedPart>;
  }
}

/** S3's answer to a PUT that it refuses. */
export function refusal(status: number, s3Code?: string): Response {
  return new Response(s3Code === undefined ? null : `<Error><Code>${s3Code}</Code></Error>`, { status });
}
