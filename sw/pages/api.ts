import * as v from "valibot";
import { toWire, UploadError } from "../../src/core/errors.ts";
import type { StorageLimits } from "../../src/core/limits.ts";
import { checkObjectKey } from "../../src/core/object-key.ts";
import type { AddOptions, Conditions } from "../../src/core/options.ts";
import { checkSize, planParts } from "../../src/core/part-plan.ts";
import type { AddRequest, Reply, Source, WorkerApi } from "../../src/protocol/protocol.ts";
import type { BackgroundFetches } from "../background-fetch/background-fetches.ts";
import type { Commands } from "../engine/commands.ts";
import type { Engine } from "../engine/engine.ts";
import { openSource } from "../files/sources.ts";
import type { UploadConditions } from "../model/conditions.ts";
import { partSizeFor } from "../model/part-size.ts";
import type { UploadRecord } from "../model/record.ts";
import { now } from "../platform/clock.ts";
import type { WorkerOptions } from "../worker-options.ts";

const uploadId = v.pipe(v.string(), v.uuid());
const anyId = v.nullable(uploadId);
const headerRecord = v.pipe(
  v.record(v.pipe(v.string(), v.regex(/^[\w!#$%&'*+.^`|~-]+$/)), v.pipe(v.string(), v.regex(/^[^\r\n\0]*$/))),
  v.check((headers) => Object.keys(headers).length <= 32),
);
const ownerName = v.pipe(v.string(), v.maxLength(1_024));
const believedOwner = v.nullable(ownerName);
const finite = v.pipe(v.number(), v.finite());
const hours = v.pipe(
  v.object({
    from: v.pipe(v.number(), v.minValue(0), v.ltValue(24)),
    to: v.pipe(v.number(), v.minValue(0), v.maxValue(24)),
  }),
  v.check(({ from, to }) => from !== to, "no hours at all"),
);
const source = v.custom<Source>(
  (value) => value instanceof Blob || value instanceof (self.FileSystemFileHandle ?? Blob),
  "not a file",
);
const addRequests = v.pipe(
  v.array(
    v.object({
      id: uploadId,
      source,
      options: v.object({
        key: v.string(),
        name: v.optional(v.pipe(v.string(), v.maxLength(1_024))),
        type: v.optional(v.pipe(v.string(), v.maxLength(255))),
        partSize: v.optional(v.number()),
        lane: v.optional(v.picklist(["auto", "worker", "browser"])),
        priority: v.optional(finite),
        requireDurable: v.optional(v.boolean()),
        conditions: v.optional(
          v.object({
            unmetered: v.optional(v.boolean()),
            notBefore: v.optional(v.union([finite, v.date()])),
            hours: v.optional(hours),
          }),
        ),
      }),
    }),
  ),
  v.maxLength(10_000),
);

export interface ApiContext {
  readonly uploader: () => Promise<Uploader>;
  readonly setAuth: (headers: Readonly<Record<string, string>>) => void;
  /** Base URL of the relay, or null. */
  readonly relay: string | null;
  readonly limits: StorageLimits;
  readonly options: WorkerOptions;
}

export interface Uploader {
  readonly engine: Engine;
  readonly lane: BackgroundFetches;
}

/** What pages may call. Every argument is checked here: it comes from outside. */
export function createWorkerApi({ uploader, setAuth, relay, limits, options }: ApiContext): WorkerApi {
  const command = (
    work: (commands: Commands, lane: BackgroundFetches, partSpeed: number | null) => Promise<void>,
  ) =>
    reply(async () => {
      const { engine, lane } = await uploader();
      await work(engine.commands, lane, engine.supervisor.partSpeed);
      return engine.commands.mark;
    });
  const api: WorkerApi = {
    add: (requests: unknown, believed: unknown) =>
      command(async (commands, _lane, partSpeed) => {
        commands.checkOwner(check(believedOwner, believed));
        const checked = check(addRequests, requests) as readonly AddRequest[];
        const { owner } = commands;
        await commands.add(
          await Promise.all(
            checked.map(async (request) => {
              const bytes = await openSource(request.source);
              return {
                ...{ record: recordOf(request, bytes, { owner, partSpeed, limits, options }), bytes },
                ...{ source: request.source, requireDurable: request.options.requireDurable ?? false },
              };
            }),
          ),
        );
      }),
    list: () =>
      reply(async () => ({ ...(await uploader()).engine.commands.list(), hasRelay: relay !== null })),
    pause: (id: unknown) =>
      command((commands) => commands.steer(check(anyId, id), { type: "pause", reason: "user" })),
    resume: (id: unknown) => command((commands) => commands.steer(check(anyId, id), { type: "resume" })),
    retry: (id: unknown) => command((commands) => commands.retry(check(uploadId, id))),
    cancel: (id: unknown) => command((commands) => commands.cancel(check(uploadId, id))),
    remove: (id: unknown) => command((commands) => commands.remove(check(anyId, id))),
    attach: (id: unknown, file: unknown) =>
      command((commands) => commands.attach(check(uploadId, id), check(source, file, "FILE_INVALID"))),
    handle: (id: unknown) =>
      reply(async () => (await uploader()).engine.commands.handle(check(uploadId, id))),
    reopen: (id: unknown) => command((commands) => commands.reopen(check(uploadId, id))),
    setOwner: (owner: unknown) =>
      command(async (commands, lane) => {
        await commands.setOwner(check(ownerName, owner));
        await lane.takeBackForeign();
      }),
    setAuth: (headers: unknown, owner: unknown) =>
      command(async (commands) => {
        commands.checkOwner(check(believedOwner, owner));
        setAuth(check(headerRecord, headers));
        await commands.authorized();
      }),
    takeBack: () => command((_commands, lane) => lane.takeBack()),
    parcels: (owner: unknown) =>
      reply(async () => {
        const { commands, lent } = (await uploader()).engine;
        commands.checkOwner(check(believedOwner, owner));
        return { relay, parcels: await lent.parcels() };
      }),
  };
  // Without a prototype a call can name nothing but what stands here.
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

function check<T>(
  schema: v.GenericSchema<unknown, T>,
  value: unknown,
  code: "OPTION_INVALID" | "FILE_INVALID" = "OPTION_INVALID",
): T {
  const parsed = v.safeParse(schema, value);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw new UploadError(code, `${v.getDotPath(issue) ?? "the value"}: ${issue.message}`);
}

interface RecordContext {
  readonly owner: string;
  /** Bytes per second of one part, as measured last, or null. */
  readonly partSpeed: number | null;
  readonly limits: StorageLimits;
  readonly options: WorkerOptions;
}

function recordOf({ id, options: wanted }: AddRequest, bytes: Blob, context: RecordContext): UploadRecord {
  const { owner, limits, options } = context;
  checkObjectKey(wanted.key, limits);
  checkSize(bytes.size, limits);
  return {
    ...{ id, key: wanted.key, wantedKey: wanted.key, owner, laneOption: wanted.lane ?? "auto" },
    ...{
      priority: wanted.priority ?? 0,
      conditions: wanted.conditions ? constraintsOf(wanted.conditions) : null,
    },
    ...describe(bytes, wanted),
    ...planFor(bytes.size, wanted.partSize, context),
    checksum: options.checksum.kind,
    ...{ order: 0, durability: "memory", attempts: 0, createdAt: now(), updatedAt: now() },
    ...{ state: "queued", remote: { at: "none" } },
  };
}

function constraintsOf({ unmetered = false, notBefore, hours }: Conditions): UploadConditions {
  return {
    unmetered,
    notBefore: notBefore === undefined ? null : Number(notBefore),
    hours: hours ?? null,
  };
}

function describe(bytes: Blob, wanted: AddOptions) {
  const isFile = bytes instanceof File;
  return {
    name: wanted.name ?? (isFile ? bytes.name : wanted.key.slice(wanted.key.lastIndexOf("/") + 1)),
    type: wanted.type ?? bytes.type,
    lastModified: isFile ? bytes.lastModified : null,
  };
}

/** An app that names a part size wants parts. */
function planFor(size: number, partSize: number | undefined, { partSpeed, limits, options }: RecordContext) {
  if (partSize === undefined && size <= Math.min(options.multipartThresholdBytes, limits.maxPartBytes))
    return { method: "single", plan: { size, partSize: size, partCount: 1 } } as const;
  return {
    method: "multipart",
    plan: planParts(size, partSize ?? partSizeFor(size, options.partSize, partSpeed, limits), limits),
  } as const;
}
