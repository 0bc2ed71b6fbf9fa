import { createHash, randomUUID } from "node:crypto";
import * as v from "valibot";
import { expect } from "vitest";
import {
  createUploadHandler,
  type UploadErrorContext,
  type UploadHandlerOptions,
} from "../../server/index.ts";
import { toNodeListener } from "../../server/node.ts";
import { CHECKSUM_KINDS, type Checksum, type ChecksumKind, isSigned } from "../../src/core/checksum.ts";
import {
  beginAnswer,
  completeAnswer,
  errorAnswer,
  type Operation,
  partsAnswer,
  signAnswer,
} from "../../src/core/http-api.ts";
import type {
  BeginIntent,
  PartReceipt,
  PartToSign,
  SignedPart,
  StoredObject,
  UploadedPartsPage,
} from "../../src/core/storage.ts";
import { checksumOf } from "./checksum-of.ts";
import { listen } from "./listen.ts";
import { claimsOf } from "./relay-client.ts";
import type { S3Engine } from "./s3-engine.ts";

export const SECRET = "0123456789abcdef0123456789abcdef";

/** How the server refused. */
export interface Refusal {
  readonly status: number;
  readonly kind: string;
  readonly code: string;
  readonly message: string;
  readonly headers: Headers;
}

/** An app's server with the upload handler, and a client of its API that checks every answer against the schemas. */
export interface UploadServer {
  readonly url: string;
  readonly errors: { readonly error: Error; readonly context: UploadErrorContext }[];
  post(operation: string, body: unknown, init?: RequestInit): Promise<Response>;
  /** Begins an upload and gives its token. */
  begin(intent: Partial<BeginIntent>, init?: RequestInit): Promise<string>;
  sign(token: string, parts: readonly PartToSign[]): Promise<readonly SignedPart[]>;
  signOne(token: string, partNumber: number, checksum?: Checksum): Promise<SignedPart>;
  parts(token: string, after?: number): Promise<UploadedPartsPage>;
  complete(token: string, parts: readonly PartReceipt[]): Promise<StoredObject>;
  abort(token: string): Promise<void>;
  /** Signs the parts and PUTs them, each with a checksum of its upload's kind. */
  put(
    token: string,
    parts: readonly (readonly [partNumber: number, body: Uint8Array])[],
  ): Promise<PartReceipt[]>;
  /** The answer to a request that has to be refused. */
  refusal(operation: Operation, body: unknown, init?: RequestInit): Promise<Refusal>;
  close(): Promise<void>;
}

export async function startUploadServer(
  engine: S3Engine,
  options: Partial<UploadHandlerOptions> = {},
): Promise<UploadServer> {
  const errors: UploadServer["errors"] = [];
  const handler = createUploadHandler({
    client: engine.client,
    bucket: engine.bucket,
    secret: SECRET,
    authorize: (_request, intent) => ({ key: intent.key }),
    limits: { minPartBytes: 1 },
    relayHoldSeconds: 0,
    onError: (error, context) => errors.push({ error, context }),
    ...options,
  });
  const server = await listen(toNodeListener(handler));
  const url = `${server.url}/uploads`;

  const post: UploadServer["post"] = (operation, body, init = {}) =>
    fetch(`${url}/${operation}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      ...init,
    });

  async function ask<T extends v.GenericSchema>(
    operation: Operation,
    body: unknown,
    schema: T,
    init?: RequestInit,
  ): Promise<v.InferOutput<T>> {
    const response = await post(operation, body, init);
    const json: unknown = await response.json();
    if (!response.ok) throw new Error(`${operation}: ${response.status} ${JSON.stringify(json)}`);
    expect(response.headers.get("cache-control")).toBe("no-store");
    return v.parse(schema, json);
  }

  const sign: UploadServer["sign"] = async (token, parts) =>
    (await ask("sign", { token, parts }, signAnswer)).parts;

  return {
    url,
    errors,
    post,
    begin: async (intent, init) => (await ask("begin", beginIntent(intent), beginAnswer, init)).token,
    sign,
    async signOne(token, partNumber, checksum) {
      const [part] = await sign(token, [{ partNumber, checksum: checksum ?? null }]);
      if (part === undefined) throw new Error("nothing was signed");
      return part;
    },
    parts: (token, after = 0) => ask("parts", { token, after }, partsAnswer),
    complete: (token, parts) => ask("complete", { token, parts }, completeAnswer),
    abort: async (token) => void (await ask("abort", { token }, v.strictObject({}))),

    async put(token, parts) {
      const kind = checksumKindOf(token);
      const receipts: PartReceipt[] = [];
      for (let at = 0; at < parts.length; at += 64) {
        const batch = await Promise.all(
          parts.slice(at, at + 64).map(async ([partNumber, body]) => {
            return { partNumber, body, checksum: await checksumOf(kind, body) };
          }),
        );
        const wanted = batch.map(({ partNumber, checksum }) => {
          return { partNumber, checksum: isSigned(kind) ? checksum : null };
        });
        const signed = await sign(token, wanted);
        const done = signed.map(async (part, index) => {
          const { body = new Uint8Array(), checksum = null } = batch[index] ?? {};
          const { etag } = await putPart(part, body, kind === "md5" ? checksum : null);
          return { partNumber: part.partNumber, etag, checksum };
        });
        receipts.push(...(await Promise.all(done)));
      }
      return receipts;
    },

    async refusal(operation, body, init) {
      const response = await post(operation, body, init);
      expect(response.headers.get("cache-control")).toBe("no-store");
      const { error } = v.parse(errorAnswer, await response.json());
      return { status: response.status, headers: response.headers, ...error };
    },

    close: server.close,
  };
}

/** Parts to be signed without a checksum. */
export function toSign(partNumbers: readonly number[]) {
  return partNumbers.map((partNumber) => ({ partNumber, checksum: null }));
}

export function beginIntent(intent: Partial<BeginIntent> = {}): BeginIntent {
  return {
    uploadId: randomUUID(),
    key: "a.bin",
    size: 0,
    type: "",
    name: "a.bin",
    method: "multipart",
    partSize: 1,
    checksum: "none",
    triedForMs: null,
    ...intent,
  };
}

/** A PUT as the client sends it: with the headers that were given, perhaps its MD5, and an untyped body. */
export async function putPart(
  part: SignedPart,
  body: Uint8Array,
  md5: Checksum | null = null,
): Promise<PartReceipt> {
  const response = await fetch(part.url, {
    method: "PUT",
    headers: { ...part.headers, ...(md5 !== null && { "content-md5": md5 }) },
    body: new Blob([Buffer.from(body)]),
  });
  if (!response.ok)
    throw new Error(`PUT of part ${part.partNumber}: ${response.status} ${await response.text()}`);
  await response.arrayBuffer();
  const etag = (response.headers.get("etag") ?? "").replaceAll('"', "");
  return { partNumber: part.partNumber, etag, checksum: null };
}

function checksumKindOf(token: string): ChecksumKind {
  const { checksum } = claimsOf(token);
  const kind = CHECKSUM_KINDS.find((each) => each === checksum);
  if (kind === undefined) throw new Error(`no kind of checksum: ${checksum}`);
  return kind;
}

/** Bytes that differ all along, so that a part in a wrong place is noticed. */
export function someBytes(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let block = 0; block * 32 < length; block++)
    bytes.set(
      createHash("sha256")
        .update(`${block}`)
        .digest()
        .subarray(0, length - block * 32),
      block * 32,
    );
  return bytes;
}

/** The parts of a file, cut by the plan. */
export function cut(bytes: Uint8Array, partSize: number): (readonly [number, Uint8Array])[] {
  const count = Math.max(1, Math.ceil(bytes.length / partSize));
  return Array.from({ length: count }, (_, index) => [
    index + 1,
    bytes.subarray(index * partSize, (index + 1) * partSize),
  ]);
}
