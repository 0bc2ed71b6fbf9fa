import type { UploadState } from "../../src/core/states.ts";
import type { StoredObject } from "../../src/core/storage.ts";
import type {
  Canceled,
  Completing,
  Done,
  Failed,
  Paused,
  Queued,
  Uploading,
  UploadRecord,
  Waiting,
} from "../../sw/model/record.ts";

export const ID = "7d5c8f2e-5a8e-4a57-9c55-0c2f6c3ee7b1";
const MIB = 1024 * 1024;

export const fault = { code: "SERVER_ERROR", detail: "try later" } as const;
export const object: StoredObject = {
  key: "a.jpg",
  size: 12 * MIB,
  etag: "abc-3",
  location: "https://s3.test/b/a.jpg",
};

const common = {
  id: ID,
  order: 1,
  wantedKey: "a.jpg",
  name: "a.jpg",
  type: "image/jpeg",
  lastModified: null,
  owner: "",
  laneOption: "auto",
  priority: 0,
  conditions: null,
  method: "multipart",
  checksum: "md5",
  plan: { size: 12 * MIB, partSize: 5 * MIB, partCount: 3 },
  createdAt: 1_000,
  key: "a.jpg",
  durability: "stored",
  attempts: 0,
  updatedAt: 1_000,
} as const;
const open = { at: "open", token: "t" } as const;

/** A record in each state. */
export const records = {
  queued: { ...common, state: "queued", remote: { at: "none" } } satisfies Queued,
  uploading: { ...common, state: "uploading", remote: open } satisfies Uploading,
  completing: { ...common, state: "completing", remote: open } satisfies Completing,
  paused: { ...common, state: "paused", reason: "user", remote: open } satisfies Paused,
  waiting: {
    ...common,
    state: "waiting",
    reason: "backoff",
    nextAttemptAt: 9_000,
    attempts: 1,
    error: fault,
    remote: open,
  } satisfies Waiting,
  failed: { ...common, state: "failed", error: fault, remote: open } satisfies Failed,
  canceled: { ...common, state: "canceled", remote: open, removed: false } satisfies Canceled,
  done: { ...common, state: "done", object } satisfies Done,
} as const satisfies Record<UploadState, UploadRecord>;
