import { createHash, randomBytes } from "node:crypto";
import { open } from "node:fs/promises";

const CHUNK_BYTES = 4 * 1024 * 1024;

/** Writes a file of random bytes and returns their SHA-256. */
export async function writeRandomFile(path: string, size: number): Promise<string> {
  const hash = createHash("sha256");
  const file = await open(path, "w");
  try {
    for (let left = size; left > 0; left -= CHUNK_BYTES) {
      const chunk = randomBytes(Math.min(left, CHUNK_BYTES));
      hash.update(chunk);
      await file.write(chunk);
    }
  } finally {
    await file.close();
  }
  return hash.digest("hex");
}
