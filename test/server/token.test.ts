import { createHmac, randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { UploadClaims } from "../../s3/claims.ts";
import { createTokenSeal } from "../../server/token.ts";
import { type S3Engine, startS3 } from "./s3-engine.ts";
import { SECRET, startUploadServer, toSign, type UploadServer } from "./upload-server.ts";

const NEWER = "fedcba9876543210fedcba9876543210";

const claims: UploadClaims = {
  bucket: "bucket",
  key: "ünï/key",
  uploadId: "7d5c8f2e-5a8e-4a57-9c55-0c2f6c3ee7b1",
  size: 10,
  checksum: "md5",
  owner: null,
  expiresAt: 1_000_000,
  method: "multipart",
  partSize: 5,
  s3UploadId: "2~abc",
};

const invalid = { name: "StorageFault", kind: "permanent", code: "TOKEN_INVALID" };

describe("the seal", () => {
  const seal = createTokenSeal(SECRET);

  test("a token opens to the claims that were sealed", async () => {
    const single: UploadClaims = {
      bucket: "b",
      key: "k",
      uploadId: "u",
      size: 0,
      checksum: "none",
      owner: "o",
      expiresAt: 9,
      method: "single",
      type: "text/plain",
    };
    for (const each of [claims, single]) expect(await seal.open(await seal.seal(each), 0)).toEqual(each);
  });

  test("a token has the form v1.payload.signature, and its payload can be read", async () => {
    const [version, payload = "", signature] = (await seal.seal(claims)).split(".");
    expect(version).toBe("v1");
    expect(JSON.parse(Buffer.from(payload, "base64url").toString())).toEqual(claims);
    expect(signature).toMatch(/^[\w-]{43}$/);
  });

  test("no character of a token can be changed, added or left out", async () => {
    const token = await seal.seal(claims);
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (let at = 0; at < token.length; at++) {
      const was = token[at] ?? "";
      const next = alphabet[(alphabet.indexOf(was) + 1) % alphabet.length] ?? "";
      for (const forged of [
        `${token.slice(0, at)}${next}${token.slice(at + 1)}`,
        `${token.slice(0, at)}${token.slice(at + 1)}`,
        `${token.slice(0, at)}${was}${token.slice(at)}`,
      ])
        if (forged !== token) await expect(seal.open(forged, 0)).rejects.toMatchObject(invalid);
    }
  });

  test("stray bits in the signature's last character are not overlooked", async () => {
    const token = await seal.seal(claims);
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (const last of alphabet)
      if (!token.endsWith(last))
        await expect(seal.open(token.slice(0, -1) + last, 0)).rejects.toMatchObject(invalid);
  });

  test.each([
    "",
    ".",
    "..",
    "v1..",
    "v1.e30.",
    "v1.e30.e30",
    "v2.e30.e30",
    "v1.e30.e30.e30",
    "💥.💥.💥",
    "v1.a.==",
  ])("%s is no token", async (text) => {
    await expect(seal.open(text, 0)).rejects.toMatchObject(invalid);
  });

  test("parts of two tokens make none", async () => {
    const [one, other] = [await seal.seal(claims), await seal.seal({ ...claims, key: "other" })];
    const forged = [...one.split(".").slice(0, 2), other.split(".")[2]].join(".");
    await expect(seal.open(forged, 0)).rejects.toMatchObject(invalid);
  });

  test("the secret itself signs none: its key is for this purpose only", async () => {
    const text = (await seal.seal(claims)).split(".").slice(0, 2).join(".");
    const mac = createHmac("sha256", SECRET).update(text).digest("base64url");
    await expect(seal.open(`${text}.${mac}`, 0)).rejects.toMatchObject(invalid);
  });

  test("a token expires to the millisecond", async () => {
    const token = await seal.seal(claims);
    await expect(seal.open(token, 999_999)).resolves.toEqual(claims);
    await expect(seal.open(token, 1_000_000)).rejects.toMatchObject({
      kind: "permanent",
      code: "TOKEN_EXPIRED",
    });
  });

  test("another secret opens no token, and a rotated list of secrets opens those of both", async () => {
    const old = await seal.seal(claims);
    await expect(createTokenSeal(NEWER).open(old, 0)).rejects.toMatchObject(invalid);
    const rotated = createTokenSeal([NEWER, SECRET]);
    await expect(rotated.open(old, 0)).resolves.toEqual(claims);
    const fresh = await rotated.seal(claims);
    await expect(createTokenSeal(NEWER).open(fresh, 0)).resolves.toEqual(claims);
    await expect(seal.open(fresh, 0)).rejects.toMatchObject(invalid);
  });

  test("claims that this version does not know are no token", async () => {
    const strange = { ...claims, size: -1 };
    await expect(seal.open(await seal.seal(strange), 0)).rejects.toMatchObject(invalid);
  });

  test("a short secret is refused, by its bytes", () => {
    expect(() => createTokenSeal("0123456789abcdef0123456789abcde")).toThrow(/has 31 bytes/);
    expect(() => createTokenSeal("äöüßéèàçâêî")).toThrow(/has 22 bytes/);
    expect(() => createTokenSeal("äöüßéèàçâêîôûñœæ")).not.toThrow();
    expect(() => createTokenSeal([])).toThrow(TypeError);
  });

  test.each([
    ["undefined", undefined],
    ["null", null],
    ["number", 12_345],
    ["undefined", [SECRET, undefined]],
    ["object", [{}]],
  ])("a secret that is %s is refused by what it is", (what, secret) => {
    expect(() => createTokenSeal(secret as never)).toThrow(`secret is ${what}: expected a string`);
  });

  test.each(["a".repeat(32), "ab".repeat(500), "password".repeat(4)])("%s is no random secret", (secret) => {
    expect(() => createTokenSeal(secret)).toThrow(/is not random/);
    expect(() => createTokenSeal(secret)).not.toThrow(secret);
    expect(() => createTokenSeal([SECRET, secret])).toThrow(/is not random/);
  });

  test("random secrets are taken, however they are written", () => {
    for (const encoding of ["hex", "base64", "base64url"] as const)
      for (let turn = 0; turn < 1_000; turn++)
        createTokenSeal(randomBytes(encoding === "hex" ? 16 : 24).toString(encoding));
  });
});

describe("over HTTP", () => {
  let engine: S3Engine;
  let server: UploadServer;

  beforeAll(async () => {
    engine = await startS3();
    server = await startUploadServer(engine);
  });

  afterAll(async () => {
    await server.close();
    await engine.close();
  });

  const body = (token: string) => ({ token, after: 0 });

  test("a forged token is 403", async () => {
    const token = await server.begin({ size: 1 });
    const refusal = await server.refusal("parts", body(`${token.slice(0, -2)}AA`));
    expect(refusal).toMatchObject({ status: 403, kind: "permanent", code: "TOKEN_INVALID" });
    expect(refusal.message).not.toContain(token.slice(3, 20));
  });

  test("an expired token is 403", async () => {
    const past = { ...claims, bucket: engine.bucket, expiresAt: Date.now() - 1 };
    const token = await createTokenSeal(SECRET).seal(past);
    expect(await server.refusal("parts", body(token))).toMatchObject({ status: 403, code: "TOKEN_EXPIRED" });
  });

  test("a token lives as long as the operator says", async () => {
    const token = await server.begin({ size: 1 });
    const { expiresAt } = await createTokenSeal(SECRET).open(token, Date.now());
    expect(Math.abs(expiresAt - Date.now() - 7 * 24 * 3_600_000)).toBeLessThan(5_000);
  });

  test("a token lives no longer than this server's setting, whatever it says", async () => {
    const strict = await startUploadServer(engine, { tokenSeconds: 60 });
    onTestFinished(strict.close);
    const generous = await startUploadServer(engine, { tokenSeconds: 366 * 24 * 3_600 });
    onTestFinished(generous.close);
    const seal = createTokenSeal(SECRET);
    const token = await generous.begin({ size: 1 });
    await strict.parts(token);
    const opened = await seal.open(token, Date.now());
    const older = await seal.seal({ ...opened, issuedAt: Date.now() - 60_000 });
    await generous.parts(older);
    const { issuedAt: _, ...undated } = opened;
    for (const each of [older, await seal.seal(undated)])
      expect(await strict.refusal("parts", body(each))).toMatchObject({ status: 403, code: "TOKEN_EXPIRED" });
  });

  test.each(["single", "multipart"] as const)(
    "a signed URL ends with its token at the latest: %s",
    async (method) => {
      const seconds = async (of: UploadServer, token: string) => {
        const { url, expiresInMs } = await of.signOne(token, 1);
        expect(expiresInMs).toBeLessThanOrEqual(60_000);
        return Number(new URL(url).searchParams.get("X-Amz-Expires"));
      };
      const brief = await startUploadServer(engine, { tokenSeconds: 60, signedUrlSeconds: 3_600 });
      onTestFinished(brief.close);
      const token = await brief.begin({ size: 1, method });
      expect(await seconds(brief, token)).toBeLessThanOrEqual(60);
      // Also where the token itself says more.
      const longer = await server.begin({ size: 1, method });
      expect(await seconds(brief, longer)).toBeLessThanOrEqual(60);
      // And where it has nearly ended.
      const seal = createTokenSeal(SECRET);
      const opened = await seal.open(longer, Date.now());
      const ending = await seal.seal({ ...opened, expiresAt: Date.now() + 5_000 });
      expect(await seconds(server, ending)).toBeLessThanOrEqual(5);
      const ended = await seal.seal({ ...opened, expiresAt: Date.now() + 900 });
      expect(await server.refusal("sign", { token: ended, parts: toSign([1]) })).toMatchObject({
        status: 403,
        code: "TOKEN_EXPIRED",
      });
    },
  );

  test("a token for another audience is 403", async () => {
    const avatars = await startUploadServer(engine, { audience: "avatars" });
    onTestFinished(avatars.close);
    const token = await avatars.begin({ size: 1 });
    await avatars.parts(token);
    expect(await server.refusal("parts", body(token))).toMatchObject({ status: 403, code: "TOKEN_INVALID" });
    expect(await avatars.refusal("parts", body(await server.begin({ size: 1 })))).toMatchObject({
      code: "TOKEN_INVALID",
    });
  });

  test("a token for another bucket is 403", async () => {
    const other = { ...claims, expiresAt: Date.now() + 60_000 };
    const token = await createTokenSeal(SECRET).seal(other);
    expect(await server.refusal("parts", body(token))).toMatchObject({ status: 403, code: "TOKEN_INVALID" });
  });

  test("a server with the secret changed carries uploads on", async () => {
    const token = await server.begin({ key: "rotated", size: 1 });
    const rotated = await startUploadServer(engine, { secret: [NEWER, SECRET] });
    const stranger = await startUploadServer(engine, { secret: NEWER });
    const receipts = await rotated.put(token, [[1, new Uint8Array(1)]]);
    expect(await stranger.refusal("parts", body(token))).toMatchObject({ code: "TOKEN_INVALID" });
    expect(await rotated.complete(token, receipts)).toMatchObject({ size: 1 });
    await rotated.close();
    await stranger.close();
  });
});
