import * as v from "valibot";
import { claimsSchema, type UploadClaims } from "../s3/claims.ts";
import { StorageFault } from "../src/core/storage.ts";

const VERSION = "v1";
const MIN_SECRET_BYTES = 32;
// 32 random hexadecimal digits have 14 different ones, and fewer than 8 in none of a hundred million cases.
const MIN_DISTINCT_BYTES = 8;
// A text of its own for these tokens' key keeps them apart from any other use that the app makes of the secret.
const PURPOSE = "backhaul upload token v1";

/** Turns claims into tokens and back. */
export interface TokenSeal {
  /**
   * `v1.<base64url of the JSON claims>.<base64url of their HMAC-SHA-256>`. Signed, not encrypted: its holder
   * can read it.
   */
  seal(claims: UploadClaims): Promise<string>;
  /**
   * @param now milliseconds since the epoch
   * @throws {StorageFault} permanent: `TOKEN_INVALID`, `TOKEN_EXPIRED`
   */
  open(token: string, now: number): Promise<UploadClaims>;
}

/**
 * @param secrets one or more, each of at least 32 bytes. The first signs, all verify: to change the secret,
 *   put the new one in front and drop the old one when its last token has expired.
 * @throws {TypeError} if there is none, or one is too short or not random
 */
export function createTokenSeal(secrets: string | readonly string[]): TokenSeal {
  const list = Array.isArray(secrets) ? secrets : [secrets];
  if (list.length === 0) throw new TypeError("secret is empty: expected at least one");
  const encoded = list.map(encodedSecret);

  let derived: Promise<SigningKey[]> | undefined;
  const keys = () => {
    derived ??= Promise.all(encoded.map(deriveKey));
    return derived;
  };

  return {
    async seal(claims) {
      const [key] = await keys();
      if (key === undefined) throw new TypeError("no key to sign with");
      const text = `${VERSION}.${toBase64Url(new TextEncoder().encode(JSON.stringify(claims)))}`;
      const signature = await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(text));
      return `${text}.${toBase64Url(new Uint8Array(signature))}`;
    },

    async open(token, now) {
      const [version, payload, mac, ...rest] = token.split(".");
      if (version !== VERSION || payload === undefined || mac === undefined || rest.length > 0)
        throw invalid();
      const signature = fromBase64Url(mac);
      const text = new TextEncoder().encode(`${version}.${payload}`);
      if (signature === null || !(await isSignedByOne(await keys(), signature, text))) throw invalid();
      const claims = parseClaims(payload);
      if (now >= claims.expiresAt) throw new StorageFault("permanent", "TOKEN_EXPIRED");
      return claims;
    },
  };
}

/** @throws {TypeError} that names what is wrong, and nothing of the secret */
function encodedSecret(secret: unknown): Uint8Array<ArrayBuffer> {
  if (typeof secret !== "string")
    throw new TypeError(`secret is ${secret === null ? "null" : typeof secret}: expected a string`);
  const bytes = new TextEncoder().encode(secret);
  if (bytes.length < MIN_SECRET_BYTES)
    throw new TypeError(
      `secret has ${bytes.length} bytes, at least ${MIN_SECRET_BYTES} random ones are needed`,
    );
  if (new Set(bytes).size < MIN_DISTINCT_BYTES)
    throw new TypeError(
      "secret is not random: it has hardly any different characters. Make one with `openssl rand -base64 32`",
    );
  return bytes;
}

type SigningKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

async function deriveKey(secret: Uint8Array<ArrayBuffer>): Promise<SigningKey> {
  const material = await crypto.subtle.importKey("raw", secret, "HKDF", false, ["deriveKey"]);
  const derivation = {
    name: "HKDF",
    hash: "SHA-256",
    salt: new Uint8Array(),
    info: new TextEncoder().encode(PURPOSE),
  };
  const hmac = { name: "HMAC", hash: "SHA-256", length: 256 };
  return crypto.subtle.deriveKey(derivation, material, hmac, false, ["sign", "verify"]);
}

/** `subtle.verify` compares in constant time. */
async function isSignedByOne(
  keys: readonly SigningKey[],
  signature: Uint8Array<ArrayBuffer>,
  text: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  for (const key of keys) if (await crypto.subtle.verify("HMAC", key, signature, text)) return true;
  return false;
}

function parseClaims(payload: string): UploadClaims {
  const bytes = fromBase64Url(payload);
  if (bytes === null) throw invalid();
  // The payload is signed, so it is JSON; but an older or newer version of this server may have put other
  // claims into it.
  const parsed = v.safeParse(claimsSchema, JSON.parse(new TextDecoder().decode(bytes)));
  if (!parsed.success) throw invalid();
  return parsed.output;
}

function invalid(): StorageFault {
  return new StorageFault("permanent", "TOKEN_INVALID");
}

function toBase64Url(bytes: Uint8Array): string {
  const binary = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/**
 * The bytes; null unless the text is exactly what `toBase64Url` writes: `atob` overlooks white space, padding
 * and stray last bits.
 */
function fromBase64Url(text: string): Uint8Array<ArrayBuffer> | null {
  if (!/^[\w-]+$/.test(text) || text.length % 4 === 1) return null;
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
  return toBase64Url(bytes) === text ? bytes : null;
}
