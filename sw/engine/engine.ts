import type { EngineOptions } from "../../src/core/options.ts";
import type { UploadStorage } from "../../src/core/storage.ts";
import type { Trace, TraceStep } from "../../src/core/trace.ts";
import type { ScopedName } from "../../src/protocol/protocol.ts";
import type { BackgroundFetches } from "../background-fetch/index.ts";
import type { UploadDatabase } from "../database/index.ts";
import { FileCopies } from "../files/index.ts";
import { retryDelayMs } from "../model/index.ts";
import type { Lifecycle } from "../pages/index.ts";
import { type ChecksumAlgorithm, md5 } from "../parts/index.ts";
import type { Platform } from "../platform/index.ts";
import { BeginAhead } from "./begin-ahead.ts";
import { Commands } from "./commands.ts";
import { createBackgroundFetches, isPageHoldingHandOver } from "./hand-over.ts";
import { HandedOverUploads } from "./handed-over-uploads.ts";
import type { LiveUpload } from "./live-upload.ts";
import { Publisher } from "./publisher.ts";
import { Roster } from "./roster.ts";
import { Supervisor } from "./supervisor.ts";

/** One life of everything that rests on the database: who drives the uploads, keeps their files and tells pages. */
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
  /** Whether there is a relay, so that the browser may carry uploads. */
  readonly hasRelay: boolean;
  /** Another user's uploads are shown and driven from now on. */
  readonly onOwner: () => void;
  readonly options: EngineOptions;
  readonly checksum: ChecksumAlgorithm;
  readonly trace: Trace;
  readonly lifecycle: Lifecycle;
  readonly name: ScopedName;
  /**
   * Called when this engine has ended because its database or its lock has failed. Another one may be
   * started.
   */
  readonly onEnded: (error: unknown) => void;
}

/**
 * Reads what is stored, and drives it as soon as no other worker does. All of it comes up, or nothing; and what fails later
 * ends all of it, so that another engine can be started in its place.
 *
 * @throws what the database throws
 */
export async function startEngine(context: EngineContext): Promise<Engine> {
  const { platform, database, storage, onOwner, options, checksum, lifecycle, name } = context;
  const { clock } = platform;
  const trace = (step: TraceStep) => context.trace({ at: clock.now(), ...step });

  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  let hasEnded = false;
  const dispose = () => {
    hasEnded = true;
    supervisor.stop();
    ahead.stop();
    publisher.close();
    database.close();
    // Gives the lock back.
    end();
  };
  const fail = (error: unknown) => {
    if (hasEnded) return;
    console.warn("backhaul: the engine ends and is started again.", error);
    dispose();
    context.onEnded(error);
  };

  const publisher = new Publisher(name, platform, (id) => roster.visible(id)?.report());
  const roster = new Roster({ database, publisher, clock, trace });
  roster.on("owner", onOwner);
  const copies = new FileCopies<LiveUpload>({
    database,
    platform,
    find: (id) => roster.get(id),
    isStored: (id) => roster.isStored(id),
    apply: (upload, event) => roster.apply(upload, event),
    onSettled: () => supervisor.checkForWork(),
    onFailure: fail,
  });
  roster.on("ended", (id) => copies.ended(id));
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
    onFailure: fail,
  });
  const handedOver = new HandedOverUploads({ roster, supervisor, database, clock, trace });
  const fetches = createBackgroundFetches({
    platform,
    roster,
    supervisor,
    uploads: handedOver,
    lifecycle,
    name,
  });
  const ahead = new BeginAhead({
    roster,
    supervisor,
    clock,
    isKeeperThere: () => isPageHoldingHandOver(platform, name),
    onFailure: fail,
  });
  if (!context.hasRelay || !platform.backgroundFetch) ahead.stop();
  database.onClosed(() => fail(new Error("the database was closed")));

  try {
    await roster.load();
    await supervisor.recall();
  } catch (error) {
    dispose();
    throw error;
  }
  // Uploads go on without it, though some parts may be sent twice until the browser says which ones it carries.
  const follow = (tries: number): Promise<void> =>
    fetches.follow().catch((error: unknown) => {
      console.warn("backhaul: Background Fetch can't be read yet.", error);
      clock.after(retryDelayMs(tries, platform.random()), () => void (hasEnded || follow(tries + 1)));
    });
  await follow(1);
  trace({ type: "started", uploads: roster.own().length });
  // The lock is held until this engine ends. During an update the old worker may still hold it.
  platform.locks
    .hold(name, async () => {
      if (hasEnded) return;
      await roster.load();
      // A full disk refuses deletions too, and uploads that go on make room.
      await copies
        .deleteOrphans()
        .catch((error: unknown) => console.warn("backhaul: orphans are left.", error));
      if (hasEnded) return;
      supervisor.drive();
      ahead.check();
      void roster.prune(options.keepEnded);
      await ended;
    })
    .catch(fail);
  return {
    commands: new Commands({
      roster,
      supervisor,
      publisher,
      copies,
      database,
      handedOver,
      fetches,
      storage,
      clock,
      trace,
      keepEnded: options.keepEnded,
      ahead,
      algorithmOf: (kind) => [checksum, md5].find((algorithm) => algorithm.kind === kind),
    }),
    supervisor,
    handedOver,
    fetches,
    isPageHoldingHandOver: (leaving) => isPageHoldingHandOver(platform, name, leaving),
  };
}
