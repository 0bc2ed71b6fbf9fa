import type { EngineOptions } from "../../src/core/options.ts";
import type { UploadStorage } from "../../src/core/storage.ts";
import type { Trace, TraceStep } from "../../src/core/trace.ts";
import type { ScopedName } from "../../src/protocol/protocol.ts";
import type { BackgroundFetches } from "../background-fetch/index.ts";
import type { UploadDatabase } from "../database/index.ts";
import { FileCopies } from "../files/index.ts";
import type { Lifecycle } from "../pages/index.ts";
import type { ChecksumAlgorithm } from "../parts/index.ts";
import type { Platform } from "../platform/index.ts";
import { Commands } from "./commands.ts";
import { followBackgroundFetches, isPageHoldingHandOver } from "./hand-over.ts";
import { HandedOverUploads } from "./handed-over-uploads.ts";
import type { LiveUpload } from "./live-upload.ts";
import { Publisher } from "./publisher.ts";
import { Roster } from "./roster.ts";
import { Supervisor } from "./supervisor.ts";

/** The room's door: what the worker does with all uploads. */
export interface Engine {
  readonly commands: Commands;
  readonly supervisor: Supervisor;
  readonly handedOver: HandedOverUploads;
  readonly fetches: BackgroundFetches;
  /** Whether a page other than `leaving` is there, which takes back what was handed over. */
  isPageHoldingHandOver(leaving: string): Promise<boolean>;
}

export interface EngineContext {
  readonly platform: Platform;
  readonly database: UploadDatabase;
  readonly storage: UploadStorage;
  /** Another user's uploads are shown and driven from now on. */
  readonly onOwner: () => void;
  readonly options: EngineOptions;
  readonly checksum: ChecksumAlgorithm;
  readonly trace: Trace;
  readonly lifecycle: Lifecycle;
  readonly name: ScopedName;
}

/** Reads what is stored, and drives it as soon as no other worker does. */
export async function startEngine(context: EngineContext): Promise<Engine> {
  const { platform, database, storage, onOwner, options, checksum, lifecycle, name } = context;
  const { clock } = platform;
  const trace = (step: TraceStep) => context.trace({ at: clock.now(), ...step });
  const publisher = new Publisher(name, platform, (id) => roster.visible(id)?.snapshot());
  const roster = new Roster({ database, publisher, clock, trace });
  roster.on("owner", onOwner);
  const copies = new FileCopies<LiveUpload>({
    database,
    platform,
    find: (id) => roster.get(id),
    apply: (upload, event) => roster.apply(upload, event),
    onSettled: () => supervisor.startDueWork(),
  });
  const supervisor = new Supervisor({
    platform,
    roster,
    publisher,
    copies,
    database,
    storage,
    checksum,
    options,
    trace,
  });
  await roster.load();
  await supervisor.recall();
  trace({ type: "started", uploads: roster.own().length });
  // Held until this worker dies. During an update the old worker may still be driving.
  void platform.locks.hold(name, async () => {
    await roster.load();
    await copies.deleteOrphans();
    supervisor.drive();
    await new Promise(() => {});
  });
  const handedOver = new HandedOverUploads({ roster, supervisor, database, clock, trace });
  const fetches = await followBackgroundFetches({
    platform,
    roster,
    supervisor,
    uploads: handedOver,
    lifecycle,
    name,
  });
  return {
    commands: new Commands({ roster, supervisor, publisher, copies, database, handedOver, fetches }),
    supervisor,
    handedOver,
    fetches,
    isPageHoldingHandOver: (leaving) => isPageHoldingHandOver(platform, name, leaving),
  };
}
