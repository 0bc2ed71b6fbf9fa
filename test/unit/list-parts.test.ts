import { describe, expect, test } from "vitest";
import type { UploadedPart, UploadedPartsPage } from "../../src/core/storage.ts";
import { listParts } from "../../sw/parts/list-parts.ts";

const part = (partNumber: number): UploadedPart => ({
  partNumber,
  etag: `e${partNumber}`,
  size: 5,
  checksum: null,
});

/** A storage that holds these parts, in pages of so many; notes after which part it was asked. */
function holding(partNumbers: readonly number[], pageSize: number) {
  const asked: number[] = [];
  const uploadedParts = async (token: string, after: number): Promise<UploadedPartsPage> => {
    expect(token).toBe("token");
    asked.push(after);
    const parts = partNumbers.filter((partNumber) => partNumber > after).map(part);
    const page = parts.slice(0, pageSize);
    return { parts: page, next: parts.length > pageSize ? (page.at(-1)?.partNumber ?? null) : null };
  };
  return { asked, storage: { uploadedParts } };
}

async function list({ storage }: ReturnType<typeof holding>, partNumbers: readonly number[]) {
  const pages: number[][] = [];
  for await (const page of listParts(storage, "token", partNumbers))
    pages.push(page.map(({ partNumber }) => partNumber));
  return pages;
}

describe("the list of parts", () => {
  test("has those that were asked for, and no others", async () => {
    expect(await list(holding([1, 2, 3, 5], 100), [2, 3, 4])).toEqual([[2, 3]]);
  });

  test("comes page by page, as S3 gives it", async () => {
    const held = holding([1, 2, 3, 4, 5], 2);
    expect(await list(held, [1, 2, 3, 4, 5])).toEqual([[1, 2], [3, 4], [5]]);
    expect(held.asked).toEqual([0, 2, 4]);
  });

  test("starts just before the first part in question, and ends with the last", async () => {
    const held = holding([1, 2, 3, 4, 5, 6, 7, 8], 2);
    expect(await list(held, [4, 5])).toEqual([[4, 5]]);
    expect(held.asked).toEqual([3]);
  });

  test("ends with the last part that S3 has, though others were asked for", async () => {
    const held = holding([1, 2, 3], 2);
    expect(await list(held, [1, 9])).toEqual([[1], []]);
  });

  test("is not asked for where no part is in question", async () => {
    const held = holding([1], 2);
    expect(await list(held, [])).toEqual([]);
    expect(held.asked).toEqual([]);
  });

  test.each([0, 3])(
    "that does not advance (next: %i) is the server's fault, and is not asked for again",
    async (next) => {
      let times = 0;
      const storage = {
        async uploadedParts() {
          times += 1;
          return { parts: [part(4)], next };
        },
      };
      const seen: number[] = [];
      const listed = async () => {
        for await (const page of listParts(storage, "token", [4, 5])) seen.push(page.length);
      };
      await expect(listed()).rejects.toMatchObject({ kind: "transient", code: "SERVER_RESPONSE_INVALID" });
      expect([times, seen]).toEqual([1, [1]]);
    },
  );
});
