import type { IncomingMessage } from "node:http";
import { parseTarget } from "../../demo/store/request-target.ts";
import { route } from "../../demo/store/router.ts";
import type { Line, NamedRequest } from "./fault.ts";

/** The operation and the key of a request to S3. */
export function nameS3Request(line: Line, { method = "", url = "", headers }: IncomingMessage): NamedRequest {
  const target = parseTarget(url);
  const operation = method === "OPTIONS" ? "Preflight" : route(method, target, headers).name;
  const uploadId = target.query.get("uploadId");
  const partNumber = target.query.get("partNumber");
  return {
    line,
    operation,
    key: target.key || (target.query.get("prefix") ?? ""),
    ...(uploadId === undefined ? {} : { uploadId }),
    ...(partNumber === undefined ? {} : { partNumber: Number(partNumber) }),
  };
}

/** The operation and the key of a request to the app's server; undefined for its pages and scripts. */
export function nameControlRequest({ url = "" }: IncomingMessage, body: Buffer): NamedRequest | undefined {
  const operation = /^\/uploads\/(\w+)$/.exec(url)?.[1];
  if (operation === undefined) return undefined;
  const request = JSON.parse(body.toString()) as { key?: string; token?: string };
  return { line: "control", operation, key: request.key ?? keyOfToken(request.token ?? "") };
}

/** Tokens are signed, not encrypted. */
function keyOfToken(token: string): string {
  const [, claims = ""] = token.split(".");
  return (JSON.parse(Buffer.from(claims, "base64url").toString()) as { key: string }).key;
}
