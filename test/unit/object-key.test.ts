import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkObjectKey, freeKey, safeKey } from "../../src/core/object-key.ts";

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
  // "\r\n" is a grapheme too, and "./" a segment.
  const text = fc
    .string({ unit: "grapheme", minLength: 1, maxLength: 30 })
    .filter((key) => !/[\p{C}\p{Z}./]/u.test(key));
  fc.assert(
    fc.property(text, (key) => {
      const bytes = new TextEncoder().encode(key).length;
      // A name before it, so that nothing but the length is at issue.
      const check = (maxKeyBytes: number) => () => checkObjectKey(`k/${key}k`, { maxKeyBytes });
      expect(check(bytes + 3)).not.toThrow();
      expect(check(bytes + 2)).toThrow(refused);
    }),
  );
});

describe("a safe key", () => {
  test.each([
    ["image.jpg", "image.jpg"],
    ["/summer/./beach/../a.jpg", "summer/beach/a.jpg"],
    ["C:\\photos\\a.jpg", "C:/photos/a.jpg"],
    ["a\u0000b\u2028c\u202egpj.exe", "abcgpj.exe"],
    ["half\ud800.txt", "half\ufffd.txt"],
    ["e\u0301.txt", "\u00e9.txt"],
    ["..", "file"],
    ["", "file"],
  ])("of %j is %j", (path, key) => {
    expect(safeKey(path)).toBe(key);
  });

  test("is shortened between characters, and keeps its extension", () => {
    expect(safeKey(`${"\u{1f600}".repeat(500)}.jpeg`)).toBe(`${"\u{1f600}".repeat(223)}.jpeg`);
  });

  test("is accepted, whatever the file is called", () => {
    const character = fc.oneof(
      fc.constantFrom("/", ".", "..", "\\", " ", "\ud800", "\udc00", "\u202e", "\n", "\u{1f600}"),
      fc.string({ unit: "binary", maxLength: 3 }),
    );
    const path = fc.oneof(
      fc.array(character, { maxLength: 40 }).map((parts) => parts.join("")),
      // Cut at each place around the dot of a hidden file.
      fc
        .tuple(fc.integer({ min: 890, max: 901 }), fc.constantFrom("/.", ".", "/"))
        .map(
          ([length, cut]) => `${"x".repeat(length)}${cut}hidden name that is far too long to be an extension`,
        ),
    );
    fc.assert(
      fc.property(path, (text) => {
        expect(() => checkObjectKey(safeKey(text), { maxKeyBytes: 900 })).not.toThrow();
      }),
      { numRuns: 300 },
    );
  });
});

describe("a free key", () => {
  const free = (key: string, ...taken: string[]) => freeKey(key, (each) => taken.includes(each));

  test.each([
    ["a.jpg", [], "a.jpg"],
    ["a.jpg", ["a.jpg"], "a (2).jpg"],
    ["a.jpg", ["a.jpg", "a (2).jpg"], "a (3).jpg"],
    ["v1.2/readme", ["v1.2/readme"], "v1.2/readme (2)"],
    [".hidden", [".hidden"], ".hidden (2)"],
  ])("for %j where %j are taken is %j", (key, taken, expected) => {
    expect(free(key, ...taken)).toBe(expected);
  });
});
