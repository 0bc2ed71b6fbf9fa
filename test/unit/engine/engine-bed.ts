import type { ChecksumKind } from "../../../src/core/checksum.ts";
import { ENGINE_DEFAULTS, type EngineOptions } from "../../../src/core/options.ts";
import type { Source } from "../../../src/protocol/protocol.ts";
import { MemoryDisk, openMemoryDatabase } from "../../../sw/database/memory-database.ts";
import type { EventOfUpload, UploadDatabase } from "../../../sw/database/upload-database.ts";
import { HandedOverUploads } from "../../../sw/engine/handed-over-uploads.ts";
import type { LiveUpload } from "../../../sw/engine/live-upload.ts";
import { Publisher } from "../../../sw/engine/publisher.ts";
import { Roster } from "../../../sw/engine/roster.ts";
import { Supervisor } from "../../../sw/engine/supervisor.ts";
import { FileCopies } from "../../../sw/files/index.ts";
import type { Queued, UploadRecord } from "../../../sw/model/record.ts";
import { virtualClock } from "../../support/virtual-clock.ts";
import { VirtualTime } from "../../support/virtual-time.ts";
import { records } from "../records.ts";
import { SmallS3 } from "./small-s3.ts";
import { nodeMd5, TextBlob } from "./text-blob.ts";

export const NAME = "backhaul:https://app.test/";
export const EPOCH = 1_800_000_000_000;
/** Three parts of 5 bytes, the last one of 2. */
export const TEXT = "hello, world";
const PLAN = { size: TEXT.length, partSize: 5, partCount: 3 } as const;

/** The id of the upload with this number. */
export const idOf = (number: number) => `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`;

/** The engine's pieces on a database in memory, a storage that does as the test says, and virtual time. */
export class EngineBed {
  readonly time = new VirtualTime();
  readonly clock = virtualClock(this.time, EPOCH);
  readonly disk = new MemoryDisk();
  readonly s3 = new SmallS3();
  readonly network = {
    isOnline: true,
    connection: undefined as { type?: string } | undefined,
    onChange() {},
  };
  readonly posted: { readonly type: string }[] = [];
  /** The events that the engine has written, one list for each transaction. */
  readonly writes: (readonly EventOfUpload[])[] = [];
  readonly failures: unknown[] = [];
  readonly steps: { readonly type: string }[] = [];
  readonly platform = {
    clock: this.clock,
    random: () => 0,
    uuid: () => "epoch",
    fetch: this.s3.fetch,
    network: this.network,
    openChannel: () => ({
      post: (message: unknown) => void this.posted.push(message as { type: string }),
      close() {},
    }),
    storageEstimate: async () => ({}),
  };
  readonly algorithmOf = (kind: ChecksumKind) => [nodeMd5].find((algorithm) => algorithm.kind === kind);
  readonly storage = this.s3;
  readonly keepEnded = { days: 30, count: 2 };
  readonly trace = (step: { readonly type: string }) => void this.steps.push(step);
  database!: UploadDatabase;
  publisher!: Publisher;
  roster!: Roster;
  copies!: FileCopies<LiveUpload>;
  supervisor!: Supervisor;
  handedOver!: HandedOverUploads;

  /** Assembles an engine as `startEngine` does, which does not drive yet. */
  static async start(options: Partial<EngineOptions> = {}): Promise<EngineBed> {
    const bed = new EngineBed();
    await bed.#assemble(options);
    return bed;
  }

  async #assemble(options: Partial<EngineOptions>): Promise<void> {
    const { clock, platform, trace } = this;
    this.database = await this.#openDatabase();
    const { database } = this;
    this.publisher = new Publisher(NAME, platform, (id) => this.roster.visible(id)?.report());
    const { publisher } = this;
    this.roster = new Roster({ database, publisher, clock, trace });
    const { roster } = this;
    this.copies = new FileCopies<LiveUpload>({
      database,
      platform,
      find: (id) => roster.get(id),
      isStored: (id) => roster.isStored(id),
      apply: (upload, event) => roster.apply(upload, event),
      onSettled: () => this.supervisor.startDueWork(),
      onFailure: (error) => this.failures.push(error),
    });
    roster.on("ended", (id) => this.copies.ended(id));
    this.supervisor = new Supervisor({
      platform,
      roster,
      publisher,
      copies: this.copies,
      database,
      storage: this.s3,
      checksum: nodeMd5,
      options: { ...ENGINE_DEFAULTS, ...options },
      trace,
      onFailure: (error) => {
        this.failures.push(error);
        this.supervisor.stop();
      },
    });
    this.handedOver = new HandedOverUploads({ roster, supervisor: this.supervisor, database, clock, trace });
  }

  async #openDatabase(): Promise<UploadDatabase> {
    const database = await openMemoryDatabase(this.disk, this.clock);
    const apply = database.apply.bind(database);
    database.apply = (events) => {
      this.writes.push(events);
      return apply(events);
    };
    return database;
  }

  /** Stores uploads as another worker has left them, each with its bytes, and reads them. */
  async load(...stored: UploadRecord[]): Promise<LiveUpload[]> {
    for (const record of stored) {
      this.disk.uploads.set(record.id, record);
      this.disk.bytes.set(record.id, new TextBlob(TEXT));
      if ("remote" in record && record.remote.at === "open") this.s3.open(record.remote.token);
    }
    await this.roster.load();
    return stored.map(({ id }) => this.roster.get(id) as LiveUpload);
  }

  stateOf(id: string): string | undefined {
    return this.disk.uploads.get(id)?.state;
  }

  source(id: string): Source | undefined {
    return this.disk.bytes.get(id);
  }
}

/** A record of this state with this number, small enough to be sent in no time. */
export function recordOf<State extends keyof typeof records>(
  state: State,
  number = 1,
  more: Partial<Queued> | object = {},
): (typeof records)[State] & UploadRecord {
  const record = records[state];
  const remote =
    "remote" in record && record.remote.at === "open"
      ? { remote: { at: "open", token: `t${number}` } as const }
      : {};
  return {
    ...record,
    ...remote,
    id: idOf(number),
    order: number,
    plan: PLAN,
    createdAt: EPOCH,
    updatedAt: EPOCH,
    ...(state === "waiting" && { nextAttemptAt: EPOCH + 10_000 }),
    ...more,
  } as (typeof records)[State] & UploadRecord;
}
