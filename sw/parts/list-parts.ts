import { StorageFault, type UploadedPart, type UploadStorage } from "../../src/core/storage.ts";

/**
 * Asks S3 which of these parts it has. Gives them page by page, as S3 lists them.
 *
 * @param partNumbers ascending
 * @throws {StorageFault}
 */
export async function* listParts(
  storage: Pick<UploadStorage, "uploadedParts">,
  token: string,
  partNumbers: readonly number[],
): AsyncGenerator<readonly UploadedPart[]> {
  const asked = new Set(partNumbers);
  const last = partNumbers.at(-1) ?? 0;
  for (let after: number | null = (partNumbers[0] ?? 1) - 1; after !== null && after < last; ) {
    const page = await storage.uploadedParts(token, after);
    yield page.parts.filter(({ partNumber }) => asked.has(partNumber));
    if (page.next !== null && page.next <= after)
      throw new StorageFault("transient", "SERVER_RESPONSE_INVALID", {
        detail: "the list of parts does not advance",
      });
    after = page.next;
  }
}
