import { check } from "../../src/core/check.ts";
import type { ChecksumKind } from "../../src/core/checksum.ts";
import { toWire, UploadError } from "../../src/core/errors.ts";
import type { StorageLimits } from "../../src/core/limits.ts";
import type { EngineOptions } from "../../src/core/options.ts";
import {
  type AddRequest,
  type BelievedOwner,
  type HandOverCandidate,
  type ListMark,
  type MarkedList,
  type Reply,
  SNAPSHOTS_PER_MESSAGE,
  type Source,
  type WorkerApi,
} from "../../src/protocol/protocol.ts";
import {
  addRequests,
  anyId,
  batchId,
  believedOwner,
  headerRecord,
  listPlace,
  listRestId,
  ownerName,
  source,
  stagedBatch,
  tokenMarks,
  uploadId,
} from "../../src/protocol/schemas.ts";
import { openSource } from "../files/index.ts";
import type { UploadRecord } from "../model/index.ts";
import type { Clock } from "../platform/index.ts";
import { ListRests } from "./list-rests.ts";
import { newUpload } from "./new-upload.ts";
import { StagedFiles } from "./staged-files.ts";

/** An upload that was just asked for. */
export interface NewUpload {
  readonly record: UploadRecord;
  readonly source: Source;
  /** The bytes that the source gave when it was opened. */
  readonly bytes: Blob;
  readonly requireDurable: boolean;
}

/** The commands that pages can give to the engine. */
export interface UploadCommands {
  readonly owner: string;
  /** Bytes per second of one part, as measured last; null if never. */
  readonly partSpeed: number | null;
  /** Bytes per second of all parts together, as measured last; null if never. */
  readonly linkSpeed: number | null;
  /** The mark at which pages will see everything that was done so far. */
  promiseMark(): ListMark;
  list(): MarkedList;
  checkOwner(believed: BelievedOwner): void;
  add(uploads: readonly NewUpload[]): Promise<void>;
  pause(id: string | null): Promise<void>;
  resume(id: string | null): Promise<void>;
  retry(id: string | null): Promise<void>;
  cancel(id: string): Promise<void>;
  remove(id: string | null): Promise<void>;
  attach(id: string, source: Source): Promise<void>;
  handle(id: string): Promise<FileSystemFileHandle>;
  reopen(id: string): Promise<void>;
  setOwner(owner: string): Promise<void>;
  forget(owner: string): Promise<void>;
  /** @param usesAuth whether the app's pages give headers */
  authorized(usesAuth: boolean): Promise<void>;
  visited(): Promise<void>;
  takeBack(): Promise<void>;
  handOverCandidates(known: readonly string[]): Promise<readonly HandOverCandidate[]>;
}

export interface ApiContext {
  readonly commands: () => Promise<UploadCommands>;
  readonly setAuth: (headers: Readonly<Record<string, string>>) => void;
  /** Base URL of the relay; null if there is none. */
  readonly relay: string | null;
  readonly limits: StorageLimits;
  readonly checksum: ChecksumKind;
  readonly options: Pick<EngineOptions, "partSize" | "multipartThresholdBytes">;
  readonly clock: Pick<Clock, "now">;
  /** A random UUID, version 4. */
  readonly uuid: () => string;
}

/** Creates the API that pages call. It checks every argument, since arguments come from outside. */
export function createWorkerApi(context: ApiContext): WorkerApi {
  const { commands, setAuth, relay, clock } = context;
  const staged = new StagedFiles();
  const rests = new ListRests(context.uuid);

  /** A call that may change something, answered with the mark at which pages see the change. */
  const command = (work: (commands: UploadCommands) => Promise<void>) =>
    reply(async () => {
      const ready = await commands();
      await work(ready);
      return ready.promiseMark();
    });

  const api: WorkerApi = {
    stage: (id: unknown, requests: unknown) =>
      reply(async () => {
        staged.add(check(batchId, id), check(addRequests, requests) as readonly AddRequest[]);
        return null;
      }),
    add: (requests: unknown, believed: unknown, batch: unknown) =>
      reply(async () => {
        const ready = await commands();
        ready.checkOwner(check(believedOwner, believed));
        const given = check(addRequests, requests) as readonly AddRequest[];
        const before = staged.remove(check(stagedBatch, batch));
        if (!before) return null;
        const checked = [...before, ...given].filter(({ hasEnded }) => !hasEnded);
        const { owner, partSpeed } = ready;
        // Once for all of them: turns go by it, and what was added together has come at one time.
        const now = clock.now();
        const uploads = checked.map(async (request) => {
          const bytes = await openSource(request.source);
          const record = newUpload(request, bytes, { ...context, owner, partSpeed, now });
          const { requireDurable = false } = request.options;
          return { record, bytes, source: request.source, requireDurable };
        });
        const added = await Promise.all(uploads);
        try {
          await ready.add(added);
          return ready.promiseMark();
        } catch (error) {
          // The browser has closed the database over it. Adding an id again only gives it its bytes.
          const next = isDatabaseClosed(error) ? await commands() : ready;
          if (next === ready) throw error;
          next.checkOwner(owner);
          await next.add(added);
          return next.promiseMark();
        }
      }),
    list: () =>
      reply(async () => {
        const ready = await commands();
        const { uploads, ...mark } = ready.list();
        const rest = rests.keep(ready.owner, uploads);
        const first = uploads.slice(0, SNAPSHOTS_PER_MESSAGE);
        return { ...mark, uploads: first, hasRelay: relay !== null, rest };
      }),
    listRest: (id: unknown, from: unknown) =>
      reply(async () => {
        const { owner } = await commands();
        return rests.slice(owner, check(listRestId, id), check(listPlace, from)) ?? null;
      }),
    pause: (id: unknown) => command((ready) => ready.pause(check(anyId, id))),
    resume: (id: unknown) => command((ready) => ready.resume(check(anyId, id))),
    retry: (id: unknown) => command((ready) => ready.retry(check(anyId, id))),
    cancel: (id: unknown) => command((ready) => ready.cancel(check(uploadId, id))),
    remove: (id: unknown) => command((ready) => ready.remove(check(anyId, id))),
    attach: (id: unknown, file: unknown) =>
      command((ready) => ready.attach(check(uploadId, id), check(source, file, "FILE_INVALID"))),
    handle: (id: unknown) => reply(async () => (await commands()).handle(check(uploadId, id))),
    reopen: (id: unknown) => command((ready) => ready.reopen(check(uploadId, id))),
    setOwner: (owner: unknown) => command((ready) => ready.setOwner(check(ownerName, owner))),
    forget: (owner: unknown) => command((ready) => ready.forget(check(ownerName, owner))),
    setAuth: (headers: unknown, owner: unknown) =>
      command(async (ready) => {
        ready.checkOwner(check(believedOwner, owner));
        const checked = check(headerRecord, headers);
        setAuth(checked);
        await ready.authorized(Object.keys(checked).length > 0);
      }),
    visit: () => command((ready) => ready.visited()),
    takeBack: () => command((ready) => ready.takeBack()),
    handOverCandidates: (owner: unknown, known: unknown) =>
      reply(async () => {
        const ready = await commands();
        ready.checkOwner(check(believedOwner, owner));
        const { linkSpeed: bytesPerSecond } = ready;
        return { relay, bytesPerSecond, uploads: await ready.handOverCandidates(check(tokenMarks, known)) };
      }),
  };
  // Without a prototype, calls can reach nothing but the API's own functions.
  return Object.freeze(Object.assign(Object.create(null) as WorkerApi, api));
}

async function reply<T>(work: () => Promise<T>): Promise<Reply<T>> {
  try {
    return { ok: true, value: await work() };
  } catch (error) {
    if (error instanceof UploadError) return { ok: false, error: toWire(error) };
    console.error("backhaul:", error);
    return { ok: false, error: toWire(new UploadError("INTERNAL", String(error))) };
  }
}

function isDatabaseClosed(error: unknown): boolean {
  return error instanceof UploadError && error.code === "DATABASE_CLOSED";
}
