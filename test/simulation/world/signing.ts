import { createHmac, KeyObject, timingSafeEqual, type webcrypto } from "node:crypto";

/**
 * Has tokens signed and verified without Web Crypto's threads, which take most of a history's time to switch to and fro.
 *
 * @returns what undoes it
 */
export function signSynchronously(): () => void {
  const { subtle } = globalThis.crypto;
  const hmac = (key: webcrypto.CryptoKey, data: Uint8Array) =>
    createHmac("sha256", KeyObject.from(key)).update(data).digest();
  const replaced = {
    sign: async (_: "HMAC", key: webcrypto.CryptoKey, data: Uint8Array) =>
      new Uint8Array(hmac(key, data)).buffer,
    async verify(_: "HMAC", key: webcrypto.CryptoKey, signature: Uint8Array, data: Uint8Array) {
      const expected = hmac(key, data);
      return signature.length === expected.length && timingSafeEqual(signature, expected);
    },
  };
  for (const [name, value] of Object.entries(replaced))
    Object.defineProperty(subtle, name, { value, configurable: true });
  return () => {
    for (const name of Object.keys(replaced)) Reflect.deleteProperty(subtle, name);
  };
}

/** The page's id of the upload that a token is for. */
export function uploadIdIn(token: string): string {
  const claims = Buffer.from(token.split(".")[1] ?? "", "base64url").toString();
  return (JSON.parse(claims) as { readonly uploadId: string }).uploadId;
}
