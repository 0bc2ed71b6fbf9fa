import { unwrap } from "idb";
import { UploadError } from "../../src/core/errors.ts";
import { copyError, databaseError } from "./database-errors.ts";
import { GroupedReads } from "./grouped-reads.ts";
import { GroupedWrites } from "./grouped-writes.ts";
import type { IdbConnection, WriteTransaction } from "./idb-connection.ts";
import { type CopyHead, isCopyHead, isSource } from "./stored-record.ts";
import type { UploadDatabase } from "./upload-database.ts";

/**
 * Bytes in one transaction of a large file's copy: so few that whoever waits for the store is held up for tens of
 * milliseconds, on a phone too. Files up to this size are stored whole.
 */
const CHUNK_BYTES = 8 * 1024 * 1024;

/**
 * Files up to this size are stored as their bytes. Of each Blob in a row Chromium makes a file of its own, which takes
 * milliseconds; a row beyond 64 KiB it would keep in such a file all the same.
 */
const SMALL_BYTES = 48 * 1024;

/** Small copies in one transaction. A commit takes far longer than each of them, and nobody else writes to these stores. */
const LARGEST_GROUP = 512;

const STORES = ["bytes", "chunks"] as const;

type FileCopies = Pick<UploadDatabase, "bytes" | "chunkBytes" | "putBytes" | "deleteBytes" | "bytesIds">;

/**
 * Copies of files in IndexedDB. A large one is a row for each of its pieces, under an id of this copy's own, and a head that
 * is written last: only then are the pieces found. Each piece is written on condition that the first is still there, so
 * that a copy which was deleted or superseded meanwhile ends.
 */
export function idbFileCopies(connection: IdbConnection, uuid: () => string): FileCopies {
  const smallCopies = new GroupedWrites<WriteTransaction>(
    (work) => connection.write(STORES, work, copyError),
    LARGEST_GROUP,
  );

  const smallReads = new GroupedReads();

  /** By transaction, whether any large file has a copy. None of them begins one. */
  const chunkChecks = new WeakMap<WriteTransaction, Promise<boolean>>();

  function hasChunks(tx: WriteTransaction): Promise<boolean> {
    const known = chunkChecks.get(tx) ?? hasAnyChunk(tx);
    chunkChecks.set(tx, known);
    return known;
  }

  return {
    chunkBytes: CHUNK_BYTES,

    bytes: (id) =>
      connection.read(STORES, async (tx) => {
        const kept: unknown = await tx.objectStore("bytes").get(id);
        if (isSource(kept)) return kept;
        if (kept instanceof ArrayBuffer) return new Blob([kept]);
        if (!isCopyHead(kept)) return undefined;
        // Chromium keeps the pieces as references to its files; nothing is read into memory here.
        const copy = new Blob(await tx.objectStore("chunks").getAll(chunksOfCopy(id, kept.copyId)));
        return copy.size === kept.size ? copy : undefined;
      }),

    async putBytes(id, source, signal) {
      signal?.throwIfAborted();
      if (source instanceof Blob && source.size > CHUNK_BYTES)
        await putInChunks(connection, { id, copyId: uuid() }, source, signal);
      else {
        const row =
          source instanceof Blob && source.size <= SMALL_BYTES ? await readSmall(source, smallReads) : source;
        signal?.throwIfAborted();
        await smallCopies.add(async (tx) => {
          if (await hasChunks(tx)) unwrap(tx.objectStore("chunks")).delete(chunksOfUpload(id));
          unwrap(tx.objectStore("bytes")).put(row, id);
        });
      }
    },

    deleteBytes: (ids) =>
      connection.writeRows(STORES, async (tx) => {
        const areChunks = await hasChunks(tx);
        const [bytes, chunks] = [unwrap(tx.objectStore("bytes")), unwrap(tx.objectStore("chunks"))];
        for (const id of ids) {
          bytes.delete(id);
          if (areChunks) chunks.delete(chunksOfUpload(id));
        }
      }),

    bytesIds: () =>
      connection.read(STORES, async (tx) => {
        const ids = new Set(await tx.objectStore("bytes").getAllKeys());
        // The cursor jumps from upload to upload, since a file of 100 GB has 12,000 chunks.
        let cursor = await tx.objectStore("chunks").openKeyCursor();
        while (cursor) {
          const [id] = cursor.key;
          ids.add(id);
          cursor = await cursor.continue([id, []] as never);
        }
        return [...ids];
      }),
  };
}

/** @throws {UploadError} `FILE_CHANGED` */
async function readSmall(source: Blob, reads: GroupedReads): Promise<ArrayBuffer> {
  try {
    return await reads.read(source);
  } catch (error) {
    throw databaseError(copyError(error));
  }
}

async function hasAnyChunk(tx: WriteTransaction): Promise<boolean> {
  return (await tx.objectStore("chunks").openKeyCursor()) !== null;
}

async function putInChunks(
  connection: IdbConnection,
  { id, copyId }: { readonly id: string; readonly copyId: string },
  source: Blob,
  signal: AbortSignal | undefined,
): Promise<void> {
  const head: CopyHead = { copyId, size: source.size };
  try {
    for (let index = 0; index * CHUNK_BYTES < source.size; index++) {
      const chunk = source.slice(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES);
      await connection.write(
        STORES,
        async (tx) => {
          if (index === 0) await deleteUnfinishedCopies(tx, id);
          else await checkNotSuperseded(tx, id, head);
          await tx.objectStore("chunks").put(chunk, [id, head.copyId, index]);
        },
        copyError,
      );
      signal?.throwIfAborted();
    }
    await connection.write(STORES, async (tx) => {
      await checkNotSuperseded(tx, id, head);
      const before = await copyIdOf(tx, id);
      if (before !== undefined) await tx.objectStore("chunks").delete(chunksOfCopy(id, before));
      await tx.objectStore("bytes").put(head, id);
    });
  } catch (error) {
    const deleting = connection.writeRows(["chunks"], (tx) =>
      tx.objectStore("chunks").delete(chunksOfCopy(id, head.copyId)),
    );
    // The chunks are deleted with the upload, or when its file is copied again.
    await deleting.catch(() => {});
    throw error;
  }
}

/** @throws {UploadError} `CANCELED` */
async function checkNotSuperseded(tx: WriteTransaction, id: string, { copyId }: CopyHead): Promise<void> {
  const first = await tx.objectStore("chunks").getKey([id, copyId, 0]);
  if (first === undefined) throw new UploadError("CANCELED", "the copy was deleted or replaced");
}

/** A death in the middle of a copy has left its pieces. What is kept already stays until the new copy is whole. */
async function deleteUnfinishedCopies(tx: WriteTransaction, id: string): Promise<void> {
  const chunks = tx.objectStore("chunks");
  const kept = await copyIdOf(tx, id);
  if (kept === undefined) return chunks.delete(chunksOfUpload(id));
  await chunks.delete(IDBKeyRange.bound([id], [id, kept]));
  await chunks.delete(IDBKeyRange.bound([id, kept, []], [id, []]));
}

async function copyIdOf(tx: WriteTransaction, id: string): Promise<string | undefined> {
  const kept: unknown = await tx.objectStore("bytes").get(id);
  return isCopyHead(kept) ? kept.copyId : undefined;
}

// In IndexedDB's order an array comes after all strings and numbers.
function chunksOfUpload(id: string): IDBKeyRange {
  return IDBKeyRange.bound([id], [id, []]);
}

function chunksOfCopy(id: string, copyId: string): IDBKeyRange {
  return IDBKeyRange.bound([id, copyId], [id, copyId, []]);
}
