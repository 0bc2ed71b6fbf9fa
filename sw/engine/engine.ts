import type { UploadStorage } from "../../src/core/storage.ts";
import type { TraceStep } from "../../src/core/trace.ts";
import type { ScopedName } from "../../src/protocol/protocol.ts";
import type { UploadDatabase } from "../database/upload-database.ts";
import { FileCopies } from "../files/file-copies.ts";
import { now } from "../platform/clock.ts";
import type { WorkerOptions } from "../worker-options.ts";
import { Commands } from "./commands.ts";
import { HandedOverUploads } from "./handed-over-uploads.ts";
import { Roster } from "./roster.ts";
import { Supervisor } from "./supervisor.ts";

/** What the worker does with all uploads. */
export interface Engine {
  readonly roster: Roster;
  readonly supervisor: Supervisor;
  readonly commands: Commands;
  readonly lent: HandedOverUploads;
}

/** Reads what is stored, and drives it as soon as no other worker does. */
export async function startEngine(
  store: UploadDatabase,
  storage: UploadStorage,
  options: WorkerOptions,
  name: ScopedName,
): Promise<Engine> {
  const trace = (step: TraceStep) => options.trace({ at: now(), ...step });
  const roster = new Roster(store, name, trace);
  const keeper = new FileCopies(store, roster);
  const supervisor = new Supervisor(roster, keeper, store, storage, options);
  await roster.load();
  await supervisor.recall();
  trace({ type: "started", uploads: roster.own().length });
  // Held until this worker dies. During an update the old worker may still be driving.
  void navigator.locks.request(name, async () => {
    await roster.load();
    await keeper.deleteOrphans();
    supervisor.drive();
    await new Promise(() => {});
  });
  return {
    ...{ roster, supervisor },
    commands: new Commands(roster, keeper, store),
    lent: new HandedOverUploads(roster, supervisor, store),
  };
}
