import type { S3Client } from "@aws-sdk/client-s3";
import { StorageFault } from "../src/core/storage.ts";

/** As in package.json's peerDependencies. */
export const LEAST_SDK_VERSION = "3.974.0";

/**
 * Finds out whether the app's client is of a version that this server works with. A package manager warns of others,
 * but installs them where it is told to, and another package of the app's may bring a client of its own.
 *
 * @throws {StorageFault} transient, so that uploads wait until the server is mended
 */
export async function requireSdkVersion({ config }: S3Client): Promise<void> {
  const version = await versionOf(config);
  if (version === undefined || isAtLeast(version, LEAST_SDK_VERSION)) return;
  throw new StorageFault("transient", "SERVER_ERROR", {
    detail: `the client is of @aws-sdk/client-s3 ${version}, while ${LEAST_SDK_VERSION} is needed: npm install @aws-sdk/client-s3@latest`,
  });
}

/** Clients tell their version in each request's User-Agent; undefined for one that is not the SDK's own. */
async function versionOf(config: S3Client["config"] | undefined): Promise<string | undefined> {
  const provide = config?.defaultUserAgentProvider;
  if (typeof provide !== "function") return undefined;
  try {
    const [, version] = (await provide()).find(([name]) => name === "aws-sdk-js") ?? [];
    return version;
  } catch {
    return undefined;
  }
}

function isAtLeast(version: string, least: string): boolean {
  const [numbers, wanted] = [version, least].map((text) => text.split(".").map(Number));
  for (const [index, number] of (wanted ?? []).entries()) {
    const own = numbers?.[index] ?? 0;
    if (own !== number) return own > number;
  }
  return true;
}
