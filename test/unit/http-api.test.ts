import * as v from "valibot";
import { describe, expect, test } from "vitest";
import * as api from "../../src/core/http-api.ts";
import { ID } from "./records.ts";

/** For each schema a good body, and what of it may be changed, for good or ill. */
interface Case {
  readonly schema: v.GenericSchema;
  readonly good: Record<string, unknown>;
  readonly alsoGood: Record<string, readonly unknown[]>;
  readonly bad: Record<string, readonly unknown[]>;
}

const NOT_COUNTS = [-1, 1.5, Number.NaN, 2 ** 53, "1", null, undefined];
const NOT_TOKENS = ["", "t".repeat(8_193), 1, null, undefined];
const toSign = (partNumbers: readonly unknown[]) =>
  partNumbers.map((partNumber) => ({ partNumber, checksum: null }));
const tooMany = toSign(Array.from({ length: 65 }, (_, index) => index + 1));
const badChecksums = ["", "AAAA\n", "AAA-AAAA", "A".repeat(45), 1];
const receipts = Array.from({ length: 10_001 }, () => ({ partNumber: 1, etag: "e", checksum: null }));
const badEtags = ["", "e".repeat(257), '"quoted"', "a b", "e\n", "<e>", 1];
const signed = { partNumber: 1, url: "https://s3.test/b/k?X=1", headers: { a: "b" }, expiresInMs: 900_000 };
const uploaded = { partNumber: 1, etag: "e", size: 5, checksum: "yZRlqg==" };

const cases: Record<string, Case> = {
  beginRequest: {
    schema: api.beginRequest,
    good: {
      uploadId: ID,
      key: "a/b",
      size: 5,
      type: "image/png",
      name: "b",
      method: "multipart",
      partSize: 5,
      checksum: "md5",
      triedForMs: null,
    },
    alsoGood: {
      size: [0, Number.MAX_SAFE_INTEGER],
      type: ["", `image/${"t".repeat(249)}`],
      name: ["n".repeat(1_024)],
      key: ["k".repeat(4_096)],
      method: ["single"],
      triedForMs: [0, 5],
    },
    bad: {
      uploadId: ["", "1", `${ID}0`, null],
      key: ["k".repeat(4_097), null, 1],
      size: NOT_COUNTS,
      type: [`image/${"t".repeat(250)}`, "foo", "image/*", null],
      name: ["n".repeat(1_025), null],
      method: ["", "put", null],
      checksum: ["", "sha1", null],
      partSize: NOT_COUNTS,
      triedForMs: [-1, 0.5, "0", undefined],
    },
  },
  signRequest: {
    schema: api.signRequest,
    good: { token: "t", parts: toSign([1, 10_000]) },
    alsoGood: {
      token: ["t".repeat(8_192)],
      parts: [tooMany.slice(0, 64), [{ partNumber: 1, checksum: "yZRlqg==" }]],
    },
    bad: {
      token: NOT_TOKENS,
      parts: [
        ...[[], tooMany, toSign([0]), toSign([10_001]), toSign([1.5]), toSign(["1"]), [null], "1", null],
        ...badChecksums.map((checksum) => [{ partNumber: 1, checksum }]),
      ],
    },
  },
  partsRequest: {
    schema: api.partsRequest,
    good: { token: "t", after: 0 },
    alsoGood: { after: [10_000] },
    bad: { token: NOT_TOKENS, after: NOT_COUNTS },
  },
  completeRequest: {
    schema: api.completeRequest,
    good: { token: "t", parts: [{ partNumber: 1, etag: "0123abcDEF-3", checksum: null }] },
    alsoGood: { parts: [receipts.slice(1), [{ partNumber: 10_000, etag: "a+/=._-", checksum: null }]] },
    bad: {
      token: NOT_TOKENS,
      parts: [
        ...[[], receipts, [{ partNumber: 0, etag: "e" }], [{ partNumber: 1 }], [null], null],
        ...badEtags.map((etag) => [{ partNumber: 1, etag }]),
      ],
    },
  },
  abortRequest: { schema: api.abortRequest, good: { token: "t" }, alsoGood: {}, bad: { token: NOT_TOKENS } },
  beginAnswer: {
    schema: api.beginAnswer,
    good: { token: "t", key: "k" },
    alsoGood: {},
    bad: { token: NOT_TOKENS, key: [null, undefined, "k".repeat(4_097)] },
  },
  signAnswer: {
    schema: api.signAnswer,
    good: { parts: [signed] },
    alsoGood: { parts: [[], [{ ...signed, headers: {} }]] },
    bad: {
      parts: [
        ...[null, [null], [{ ...signed, partNumber: 0 }], [{ ...signed, expiresInMs: -1 }]],
        ...[[{ ...signed, url: "/relative" }], [{ ...signed, url: "" }]],
        ...[[{ ...signed, headers: { a: 1 } }], [{ ...signed, headers: null }]],
      ],
    },
  },
  partsAnswer: {
    schema: api.partsAnswer,
    good: { parts: [uploaded], next: null },
    alsoGood: { parts: [[]], next: [0, 1_000] },
    bad: {
      parts: [null, [{ ...uploaded, size: -1 }], ...badEtags.map((etag) => [{ ...uploaded, etag }])],
      next: [-1, "1", undefined],
    },
  },
  completeAnswer: {
    schema: api.completeAnswer,
    good: { key: "k", size: 5, etag: "e-3", location: "https://s3.test/b/k" },
    alsoGood: { size: [0] },
    bad: { key: [null], size: NOT_COUNTS, etag: badEtags, location: [null, "l".repeat(8_193)] },
  },
  errorAnswer: {
    schema: api.errorAnswer,
    good: { error: { kind: "transient", code: "SERVER_ERROR", message: "m", detail: "" } },
    alsoGood: {},
    bad: {
      error: [
        ...[null, {}, { kind: "slow", code: "SERVER_ERROR", message: "m", detail: "" }],
        ...["not a code", "", null].map((code) => ({ kind: "transient", code, message: "m", detail: "" })),
        { kind: "transient", code: "SERVER_ERROR", message: "m".repeat(4_097), detail: "" },
      ],
    },
  },
};

describe.each(Object.entries(cases))("%s", (_name, { schema, good, alsoGood, bad }) => {
  test("accepts a good body as it is", () => {
    expect(v.parse(schema, good)).toEqual(good);
  });

  test("drops unknown fields", () => {
    expect(v.parse(schema, { ...good, more: 1 })).toEqual(good);
  });

  test.each([null, undefined, "", 1, true])("refuses %j", (body) => {
    expect(v.is(schema, body)).toBe(false);
  });

  test("accepts values on the bounds", () => {
    for (const [field, values] of Object.entries(alsoGood))
      for (const value of values)
        expect(v.is(schema, { ...good, [field]: value }), `${field}: ${short(value)}`).toBe(true);
  });

  test("refuses what lies beyond", () => {
    for (const [field, values] of Object.entries(bad))
      for (const value of values)
        expect(v.is(schema, { ...good, [field]: value }), `${field}: ${short(value)}`).toBe(false);
  });
});

test("abort is answered by an object of nothing", () => {
  expect(v.parse(api.abortAnswer, {})).toEqual({});
  expect(v.is(api.abortAnswer, null)).toBe(false);
});

const short = (value: unknown) => JSON.stringify(value)?.slice(0, 60);
