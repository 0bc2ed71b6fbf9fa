import fc from "fast-check";
import { expect, test } from "vitest";
import { checkObjectKey } from "../../src/core/object-key.ts";

const refused = expect.objectContaining({ name: "UploadError", code: "KEY_INVALID" });

test.each([
  "a",
  "photos/2024/a b+c%20.jpg",
  "ünï/码/😀",
  "..a/b..",
  "...",
  "a..b",
  ".hidden",
  "a//b",
  "a/",
  "%2e%2e/a",
])("%j is a key", (key) => {
  expect(() => checkObjectKey(key)).not.toThrow();
});

test.each([
  ["", "empty"],
  ["/a", "a leading slash"],
  ["..", "a folded segment"],
  ["a/../b", "a folded segment"],
  ["a/..", "a folded segment"],
  ["./a", "a folded segment"],
  ["a/.", "a folded segment"],
  ["a\nb", "a control character"],
  ["a\0", "a control character"],
  ["\u007f", "a control character"],
  ["\u009f", "a control character"],
  ["\u2028", "a control character"],
  ["\ud800", "half a character"],
  ["a\udc00b", "half a character"],
])("%j is none: %s", (key) => {
  expect(() => checkObjectKey(key)).toThrow(refused);
});

test.each(["a", "é", "码", "😀"])("1,024 bytes of UTF-8 are allowed, 1,025 are not, in %s", (character) => {
  const bytes = new TextEncoder().encode(character).length;
  const full = character.repeat(Math.floor(1_024 / bytes)) + "x".repeat(1_024 % bytes);
  expect(() => checkObjectKey(full)).not.toThrow();
  expect(() => checkObjectKey(`${full}x`)).toThrow(/1025 bytes; the limit is 1024/);
});

test("bytes are counted as an encoder counts them", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", minLength: 1, maxLength: 30 }), (key) => {
      const bytes = new TextEncoder().encode(key).length;
      // A name before it, so that nothing but the length is at issue.
      const check = (maxKeyBytes: number) => () => checkObjectKey(`k/${key}k`, { maxKeyBytes });
      expect(check(bytes + 3)).not.toThrow();
      expect(check(bytes + 2)).toThrow(refused);
    }),
  );
});
