/** A fault to be planted: a piece of the source, and what stands there instead. */
export interface PlantedFault {
  readonly name: string;
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

/** Small slips that a change could make, each of a kind that once was there or might be. The simulation must find them all. */
export const PLANTED_FAULTS: readonly PlantedFault[] = [
  {
    name: "a part is claimed after its PUT",
    file: "sw/parts/send-parts.ts",
    find: "claim: (partNumber) => context.database.claimParts(upload.id, record.remote.token, [partNumber]),",
    replace: "claim: async () => true,",
  },
  {
    name: "claims of a dead worker are not looked up",
    file: "sw/model/part-ledger.ts",
    find: "else this.#doubtful.set(row.partNumber, { attempts: 0, error: null, dueAt: 0 });",
    replace: "",
  },
  {
    name: "a new worker forgets which parts S3 has",
    file: "sw/engine/roster.ts",
    find: "const parts = await database.allParts();",
    replace: "const parts = new Map<string, never[]>();",
  },
  {
    name: "a wake-up is lost: nobody hears that there is something to drive",
    file: "sw/engine/roster.ts",
    find: 'if (isToBeDriven) this.#events.emit("changed", undefined);',
    replace: "",
  },
  {
    name: "the timer of waits is forgotten",
    file: "sw/engine/supervisor.ts",
    find: "if (next === Number.POSITIVE_INFINITY) return;",
    replace: "if (next !== undefined) return;",
  },
  {
    name: "two workers drive: the lock is not waited for",
    file: "sw/engine/engine.ts",
    find: '  trace({ type: "started", uploads: roster.own().length });',
    replace: "  supervisor.drive();",
  },
  {
    name: "the lock of an engine that has ended is kept",
    file: "sw/engine/engine.ts",
    find: "    // Gives the lock back.\n    end();",
    replace: "",
  },
  {
    name: "an engine outlives its database",
    file: "sw/engine/engine.ts",
    find: "    if (hasEnded) return;\n    console.warn",
    replace: "    if (hasEnded || error !== undefined) return;\n    console.warn",
  },
  {
    name: "another user's uploads are driven",
    file: "sw/engine/roster.ts",
    find: "return upload.record.owner === this.#owner;",
    replace: "return true;",
  },
  {
    name: "a pause lets the parts go on",
    file: "sw/model/transition.ts",
    find: 'return [{ ...common(record), state: "paused", reason, remote: record.remote }, ["halt"]];',
    replace: 'return [{ ...common(record), state: "paused", reason, remote: record.remote }, []];',
  },
  {
    name: "a cancel lets the parts go on",
    file: "sw/model/transition.ts",
    find: '["halt", "deleteBytes", "deleteParts", "drive"],',
    replace: '["deleteBytes", "deleteParts"],',
  },
  {
    name: "bytes are deleted while they are needed",
    file: "sw/model/transition.ts",
    find: 'attempts, durability }, ["drive"]];',
    replace: 'attempts, durability }, ["drive", "deleteBytes"]];',
  },
  {
    name: "bytes of rows that can't be read are deleted as orphans",
    file: "sw/engine/roster.ts",
    find: "return this.#uploads.has(id) || this.#unreadableIds.has(id);",
    replace: "return this.#uploads.has(id);",
  },
  {
    name: "a sync counts as used while something waits",
    file: "sw/events.ts",
    find: "if (!(await engine()).supervisor.wantsWakeUp) return true;",
    replace: "return true;",
  },
  {
    name: "waits go by a clock that can be set",
    file: "sw/engine/live-upload.ts",
    find: "    return this.#dueAt;\n  }",
    replace: "    return this.#clock.elapsed() + this.#record.nextAttemptAt - this.#clock.now();\n  }",
  },
  {
    name: "conditions are written again by every look",
    file: "sw/engine/supervisor.ts",
    find: "if (isNews(record, check)) unmet.set(upload, check);",
    replace: "unmet.set(upload, check);",
  },
  {
    name: "a probe that fails is never followed by another",
    file: "sw/model/breaker.ts",
    find: "    this.#attempts += 1;\n    this.#probedAt = undefined;",
    replace: "    this.#attempts += 1;",
  },
  {
    name: "an outage is final",
    file: "sw/model/retry.ts",
    find: 'return kind === "network" || kind === "transient";',
    replace: 'return kind === "network";',
  },
  {
    name: "a page that says 404 means that S3 has dropped the upload",
    file: "src/core/outcome.ts",
    find: 'if (status === 401) return new StorageFault("unauthorized", "UNAUTHORIZED", details);',
    replace: 'if (status === 404) return new StorageFault("gone", "UPLOAD_GONE", details);',
  },
  {
    name: "what the browser may have sent is not looked up",
    file: "sw/engine/handed-over-uploads.ts",
    find: "for (const partNumber of partNumbers) upload.ledger.suspect(partNumber, dueAt);",
    replace: "",
  },
  {
    name: "a part is cut at the wrong place",
    file: "sw/parts/part-delivery.ts",
    find: "return bytes.slice(start, end);",
    replace: "return this.#options.bytes.slice(Math.max(0, start - 1), end - (start > 0 ? 1 : 0));",
  },
  {
    name: "what waits for the network has no timer",
    file: "sw/engine/drive-upload.ts",
    find: 'return { type: "fault", reason, nextAttemptAt: until, error: wireOf(fault) };',
    replace:
      'return { type: "fault", reason, nextAttemptAt: reason === "offline" ? null : until, error: wireOf(fault) };',
  },
  {
    name: "pages are not told of what has changed",
    file: "sw/engine/publisher.ts",
    find: "this.#clock.after(Math.max(TOGETHER_MS, waitMs), () => this.#publish());",
    replace:
      "if (this.#sequence < 5) this.#clock.after(Math.max(TOGETHER_MS, waitMs), () => this.#publish());",
  },
  {
    name: "add settles before the file is safe",
    file: "sw/files/file-copies.ts",
    find: "await this.#underWay.get(id)?.settled;",
    replace: "",
  },
  {
    name: "a dropped write: who is signed in is not stored",
    file: "sw/engine/roster.ts",
    find: "    await this.#options.database.setOwner(owner);\n    this.#serve(owner);",
    replace: "    this.#serve(owner);",
  },
  {
    name: "a part that a look-up does not find stays in doubt",
    file: "sw/parts/send-parts.ts",
    find: "    for (const partNumber of stillMissing()) ledger.giveBack(partNumber);\n  }",
    replace: "  }",
  },
];
