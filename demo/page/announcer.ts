import type { UploadSnapshot, UploadState } from "backhaul";
import { describeState } from "./describe-upload.ts";
import { formatCount } from "./format.ts";

/** Changes within this time are told together. */
const GATHER_MS = 1_200;
/** More than these are counted, not named. */
const MOST_NAMED = 2;

/** States that are announced, the most important first. The others last only a moment. */
const WORTH_TELLING = {
  failed: "failed",
  waiting: "waiting",
  done: "done",
  uploading: "uploading",
  paused: "paused",
  canceled: "canceled",
} as const satisfies Partial<Record<UploadState, string>>;

/** Tells screen readers of changes of state, never of mere progress. */
export class Announcer {
  readonly #region: HTMLElement;
  #known: Map<string, UploadState> | undefined;
  readonly #news = new Map<string, UploadSnapshot>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(region: HTMLElement) {
    this.#region = region;
  }

  take(uploads: readonly UploadSnapshot[]): void {
    const known = this.#known;
    const now = new Map<string, UploadState>();
    for (const upload of uploads) {
      now.set(upload.id, upload.state);
      // Uploads that were there when the page opened are no news.
      if (known && known.get(upload.id) !== upload.state && upload.state in WORTH_TELLING)
        this.#news.set(upload.id, upload);
    }
    this.#known = now;
    if (this.#news.size > 0) this.#timer ??= setTimeout(() => this.#tell(), GATHER_MS);
  }

  #tell(): void {
    this.#timer = undefined;
    const news = [...this.#news.values()];
    this.#news.clear();
    this.#region.textContent =
      news.length <= MOST_NAMED
        ? news.map((upload) => `${upload.name}: ${describeState(upload, Date.now())}.`).join(" ")
        : `${countStates(news).join(", ")}.`;
  }
}

function countStates(uploads: readonly UploadSnapshot[]): string[] {
  return Object.entries(WORTH_TELLING).flatMap(([state, word]) => {
    const count = uploads.filter((upload) => upload.state === state).length;
    return count === 0 ? [] : [`${formatCount(count, "upload")} ${word}`];
  });
}
