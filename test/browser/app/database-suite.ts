import { deleteDB, openDB } from "idb";
import { openIdbDatabase } from "../../../sw/database/idb-database.ts";
import type { UploadDatabase } from "../../../sw/database/upload-database.ts";
import { type DatabaseBed, uploadDatabaseSuite } from "../../conformance/upload-database.ts";

const uuid = () => crypto.randomUUID();

/** Gives a page what the tests of the database in IndexedDB run in it. */
const cases = new Map<string, () => Promise<void>>();

uploadDatabaseSuite(
  (name, run) => void cases.set(name, run),
  async () => {
    const name = `conformance ${crypto.randomUUID()}`;
    const bed: DatabaseBed = {
      now: 1_000,
      open: () => openIdbDatabase(name, { clock: { now: () => bed.now }, uuid }),
      async plantUnreadable(id) {
        const database = await openDB(name);
        await database.put("uploads", { id, state: "teleporting" });
        database.close();
      },
      deleteDatabase: () => deleteDB(name),
      close: () => deleteDB(name),
    };
    return bed;
  },
);

Object.assign(globalThis, {
  openIdbDatabase: (name: string) => openIdbDatabase(name, { clock: Date, uuid }),
  /** Settles once the first piece of a copy is there. Its result is undefined, or what it was refused with. */
  async beginPut(database: UploadDatabase, id: string, source: Blob, signal?: AbortSignal) {
    let isUnderWay = true;
    const result = database
      .putBytes(id, source, signal)
      .catch((error: unknown) => error)
      .finally(() => {
        isUnderWay = false;
      });
    while (isUnderWay && !(await database.bytesIds()).includes(id));
    return { result };
  },
  async sha256Of(blob: Blob) {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await blob.arrayBuffer()));
    return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  },
  async runCase(name: string) {
    const run = cases.get(name);
    if (!run) throw new Error(`no case of this name: ${name}`);
    await run();
  },
});
