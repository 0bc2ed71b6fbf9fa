import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { readJson, writeJson } from "./json-file.ts";
import { type RequestEntry, type Store, startStore } from "./server.ts";

export interface DemoStoreOptions {
  readonly port: number;
  /** Holds `store/`, the bytes, and `store-credentials.json`. */
  readonly dataDir: string;
  readonly minPartBytes?: number;
  readonly onRequest?: (entry: RequestEntry) => void;
}

export const DEMO_BUCKET = "demo";

/** The embedded store with its `demo` bucket, under credentials that stay the same from one start to the next. */
export async function startDemoStore(options: DemoStoreOptions): Promise<Store> {
  const { dataDir, ...rest } = options;
  mkdirSync(dataDir, { recursive: true });
  const store = await startStore({ ...rest, ...credentials(dataDir), dataDir: join(dataDir, "store") });
  store.createBucket(DEMO_BUCKET);
  return store;
}

function credentials(dataDir: string): { accessKeyId: string; secretAccessKey: string } {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = process.env;
  if (accessKeyId && secretAccessKey) return { accessKeyId, secretAccessKey };
  const path = join(dataDir, "store-credentials.json");
  if (!existsSync(path)) writeJson(path, randomCredentials(), 0o600);
  return readJson(path);
}

function randomCredentials(): { accessKeyId: string; secretAccessKey: string } {
  return {
    accessKeyId: `DEMO${randomBytes(8).toString("hex").toUpperCase()}`,
    secretAccessKey: randomBytes(30).toString("base64url"),
  };
}
