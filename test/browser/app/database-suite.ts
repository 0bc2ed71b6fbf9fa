import { deleteDB, openDB } from "idb";
import { openIdbDatabase } from "../../../sw/database/idb-database.ts";
import { type DatabaseBed, uploadDatabaseSuite } from "../../conformance/upload-database.ts";

/** Gives a page what the tests of the database in IndexedDB run in it. */
const cases = new Map<string, () => Promise<void>>();

uploadDatabaseSuite(
  (name, run) => void cases.set(name, run),
  async () => {
    const name = `conformance ${crypto.randomUUID()}`;
    const bed: DatabaseBed = {
      now: 1_000,
      open: () => openIdbDatabase(name, { now: () => bed.now }),
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
  openIdbDatabase: (name: string) => openIdbDatabase(name, { now: () => Date.now() }),
  async runCase(name: string) {
    const run = cases.get(name);
    if (!run) throw new Error(`no case of this name: ${name}`);
    await run();
  },
});
