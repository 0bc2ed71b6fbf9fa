/** `npm run store`: the embedded S3 store by itself, for development and tests only. */
import { DEMO_BUCKET, startDemoStore } from "./demo-store.ts";

const { S3_PORT = "9000", DATA_DIR = ".demo", S3_MIN_PART_BYTES } = process.env;

try {
  const store = await startDemoStore({
    port: wholeNumber("S3_PORT", S3_PORT, 65_535),
    dataDir: DATA_DIR,
    ...(S3_MIN_PART_BYTES
      ? { minPartBytes: wholeNumber("S3_MIN_PART_BYTES", S3_MIN_PART_BYTES, 2 ** 40) }
      : {}),
  });
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => void store.close().then(() => process.exit(0)));
  }
  const { url, accessKeyId, secretAccessKey } = store;
  console.log(
    `s3 ${url} bucket=${DEMO_BUCKET} accessKeyId=${accessKeyId} secretAccessKey=${secretAccessKey}`,
  );
} catch (error) {
  console.error(startFailure(error));
  process.exit(1);
}

function wholeNumber(variable: string, text: string, max: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > max)
    throw new Error(`${variable} must be a whole number from 0 to ${max}, not "${text}".`);
  return value;
}

function startFailure(error: unknown): string {
  if (error instanceof Error && "code" in error && error.code === "EADDRINUSE") {
    return `Port ${S3_PORT} is in use. Set S3_PORT to another one, such as S3_PORT=9001.`;
  }
  return `The store did not start: ${error instanceof Error ? error.message : String(error)}`;
}
