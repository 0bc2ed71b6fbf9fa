/** `npm start`: the demo with the embedded S3 store, or with the S3 that the environment names. */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type S3Target, startAppServer } from "./app-server.ts";
import { DEMO_BUCKET, startDemoStore } from "./store/demo-store.ts";

const { env } = process;
const dataDir = env.DATA_DIR ?? ".demo";

try {
  const storage = env.S3_ENDPOINT ? externalStorage(env.S3_ENDPOINT) : await embeddedStorage();
  const app = await startAppServer({
    port: portOf("PORT", 8080),
    root: fileURLToPath(new URL("dist", import.meta.url)),
    s3: storage.target,
    secret: tokenSecret(),
  });
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.once(signal, async () => {
      await Promise.all([app.close(), storage.close()]);
      process.exit(0);
    });
  console.log(`app ${app.url}`);
  console.log(storage.line);
} catch (error) {
  console.error(failureOf(error));
  process.exit(1);
}

interface Storage {
  readonly target: S3Target;
  /** The line that is printed about this target. */
  readonly line: string;
  close(): Promise<void>;
}

async function embeddedStorage(): Promise<Storage> {
  const store = await startDemoStore({ port: portOf("S3_PORT", 9000), dataDir });
  const { url, region, accessKeyId, secretAccessKey } = store;
  return {
    target: { endpoint: url, region, bucket: DEMO_BUCKET, credentials: { accessKeyId, secretAccessKey } },
    line: `s3 ${url} bucket=${DEMO_BUCKET} accessKeyId=${accessKeyId} secretAccessKey=${secretAccessKey}`,
    close: () => store.close(),
  };
}

function externalStorage(endpoint: string): Storage {
  const bucket = required("S3_BUCKET");
  const credentials = {
    accessKeyId: required("AWS_ACCESS_KEY_ID"),
    secretAccessKey: required("AWS_SECRET_ACCESS_KEY"),
    ...(env.AWS_SESSION_TOKEN ? { sessionToken: env.AWS_SESSION_TOKEN } : {}),
  };
  return {
    target: { endpoint, region: env.AWS_REGION ?? "us-east-1", bucket, credentials },
    line: `s3 ${endpoint.replace(/\/$/, "")} bucket=${bucket}`,
    close: async () => {},
  };
}

/** Kept, so that uploads go on after a restart. */
function tokenSecret(): string {
  const path = join(dataDir, "token-secret");
  mkdirSync(dataDir, { recursive: true });
  if (!existsSync(path)) writeFileSync(path, randomBytes(32).toString("base64url"), { mode: 0o600 });
  return readFileSync(path, "utf8");
}

function required(name: string): string {
  const value = env[name];
  if (!value) throw new Error(`With S3_ENDPOINT set, ${name} must be set too.`);
  return value;
}

function portOf(name: string, fallback: number): number {
  const port = Number(env[name] ?? fallback);
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new Error(`${name} is not a port: ${env[name]}`);
  return port;
}

function failureOf(error: unknown): string {
  if (error instanceof Error && "code" in error && error.code === "EADDRINUSE") {
    const port = "port" in error ? error.port : "";
    return `Port ${port} is in use. Set PORT (the page) or S3_PORT (the store) to another one.`;
  }
  return `The demo did not start: ${error instanceof Error ? error.message : String(error)}`;
}
