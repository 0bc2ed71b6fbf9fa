import type { UploadSnapshot, UploadState, WaitingReason } from "backhaul";
import { formatBytes, formatCount, formatDuration, formatSpeed, wholePercent } from "./format.ts";

export type UploadAction = "pause" | "resume" | "retry" | "attach" | "cancel" | "remove";

export const ACTION_LABELS = {
  pause: "Pause",
  resume: "Resume",
  retry: "Try again",
  attach: "Pick file again",
  cancel: "Cancel",
  remove: "Remove",
} as const satisfies Record<UploadAction, string>;

/** How the list can be narrowed. */
export type UploadGroup = "moving" | "held" | "finished";

const GROUPS = {
  queued: "moving",
  uploading: "moving",
  completing: "moving",
  paused: "held",
  waiting: "held",
  failed: "held",
  canceled: "finished",
  done: "finished",
} as const satisfies Record<UploadState, UploadGroup>;

export function groupOf(state: UploadState): UploadGroup {
  return GROUPS[state];
}

/** Everything a row shows, in words. Empty strings are left out. */
export interface UploadView {
  readonly state: string;
  /** Amounts, speed, time and parts. */
  readonly figures: string;
  readonly percent: number | null;
  /** Shares of the bar, 0 to 1. */
  readonly confirmedShare: number;
  readonly estimatedShare: number;
  /** The bar for those who hear it. */
  readonly spokenProgress: string;
  readonly confirmed: string;
  readonly onTheWay: string;
  readonly trouble: string;
  readonly hint: string;
  readonly key: string;
  readonly etag: string;
  readonly main: UploadAction | null;
  readonly ending: UploadAction;
}

/** A copy of the file is being written meanwhile; only one that takes long, or never comes, is worth a word. */
const STORING_GRACE_MS = 4_000;

export function describeUpload(upload: UploadSnapshot, now: number): UploadView {
  const { state, size, uploadedBytes, estimatedBytes } = upload;
  const isDone = state === "done";
  const percent = isDone ? 100 : Math.min(99, wholePercent(estimatedBytes, size));
  const showsBytes = state !== "done" && state !== "canceled" && uploadedBytes > 0;
  const onTheWayBytes = estimatedBytes - uploadedBytes;
  return {
    state: describeState(upload, now),
    figures: figures(upload),
    percent: isDone || state === "canceled" || (state === "queued" && estimatedBytes === 0) ? null : percent,
    confirmedShare: isDone ? 1 : share(uploadedBytes, size),
    estimatedShare: isDone ? 1 : share(estimatedBytes, size),
    spokenProgress: isDone
      ? "100%, done"
      : `${percent}%, ${formatBytes(estimatedBytes)} of ${formatBytes(size)}, ${formatBytes(uploadedBytes)} confirmed`,
    confirmed: showsBytes ? `${formatBytes(uploadedBytes)} confirmed` : "",
    onTheWay: state === "uploading" && onTheWayBytes > 0 ? `${formatBytes(onTheWayBytes)} on the way` : "",
    trouble: trouble(upload),
    hint: isVolatile(upload) && now - upload.createdAt > STORING_GRACE_MS ? hint(upload) : "",
    key: upload.object?.key ?? (upload.key === upload.name ? "" : upload.key),
    etag: upload.object?.etag ?? "",
    main: mainAction(upload),
    ending: isDone || state === "canceled" || state === "failed" ? "remove" : "cancel",
  };
}

/** Whether the row's text changes with the clock alone. */
export function tellsTime(upload: UploadSnapshot): boolean {
  return (upload.state === "waiting" && upload.nextAttemptAt !== null) || isVolatile(upload);
}

export function describeState(upload: UploadSnapshot, now: number): string {
  switch (upload.state) {
    case "queued":
      return "In the queue";
    case "uploading":
      return upload.lane === "browser" ? "Uploading, by the browser itself" : "Uploading";
    case "completing":
      return "Checking what has arrived";
    case "paused":
      return upload.reason === "browser" ? "Paused in the browser's list of downloads" : "Paused by you";
    case "waiting":
      return `${waitsFor(upload.reason)}${nextTry(upload.nextAttemptAt, now)}`;
    case "failed":
      return "Failed";
    case "canceled":
      return "Canceled";
    case "done":
      return "Done";
    default:
      return upload.state satisfies never;
  }
}

function waitsFor(reason: UploadSnapshot["reason"]): string {
  switch (reason as WaitingReason) {
    case "offline":
      return "Waiting for the network";
    case "backoff":
      return "Waiting before the next try";
    case "auth":
      return "Waiting for you to sign in";
    case "file":
      return "Waiting for the file";
    case "conditions":
      return "Waiting for its time or its network";
    default:
      return "Waiting";
  }
}

function nextTry(nextAttemptAt: number | null, now: number): string {
  if (nextAttemptAt === null) return "";
  const seconds = Math.ceil((nextAttemptAt - now) / 1_000);
  return seconds > 0 ? ` · next try in ${formatDuration(seconds)}` : " · trying now";
}

function figures(upload: UploadSnapshot): string {
  const { state, size, estimatedBytes, bytesPerSecond, etaSeconds, partsDone, partsTotal } = upload;
  const isPartial = state !== "done" && state !== "canceled" && estimatedBytes > 0;
  const words = [
    isPartial ? `${formatBytes(estimatedBytes)}\u00a0of\u00a0${formatBytes(size)}` : formatBytes(size),
  ];
  if (bytesPerSecond) words.push(formatSpeed(bytesPerSecond));
  if (etaSeconds !== null) words.push(`${formatDuration(etaSeconds)}\u00a0left`);
  if (partsTotal > 1 && state !== "canceled" && state !== "queued")
    words.push(
      state === "done"
        ? formatCount(partsTotal, "part")
        : `${partsDone}\u00a0of\u00a0${formatCount(partsTotal, "part")}`,
    );
  if (state === "done") words.push(...tookTime(upload));
  return words.join(" · ");
}

/** The time from the pick to the verified object, waits included, is what the user waited for. */
function tookTime({ createdAt, updatedAt, size }: UploadSnapshot): string[] {
  const seconds = (updatedAt - createdAt) / 1_000;
  if (seconds <= 0) return [];
  // An average over so short a time says nothing about the network.
  const took = seconds < 1 ? "took less than 1\u00a0s" : `took\u00a0${formatDuration(seconds)}`;
  return size > 0 && seconds >= 1 ? [took, `${formatSpeed(size / seconds)}\u00a0on\u00a0average`] : [took];
}

function trouble({ state, reason, error }: UploadSnapshot): string {
  if (!error) return "";
  // "Waiting for the network" has said it.
  if (state === "waiting" && (reason === "offline" || error.code === "NETWORK")) return "";
  return error.message;
}

/** Whether the upload's bytes are lost with the worker. */
function isVolatile({ state, durability }: UploadSnapshot): boolean {
  return durability === "memory" && state !== "done" && state !== "canceled" && state !== "failed";
}

function hint({ state, reason }: UploadSnapshot): string {
  if (state === "waiting" && reason === "file") return "";
  return "Keep this page open: the browser has no copy of this file so far, and without one it can't go on later.";
}

function mainAction({ state, reason }: UploadSnapshot): UploadAction | null {
  switch (state) {
    case "queued":
    case "uploading":
    case "completing":
      return "pause";
    case "waiting":
      return reason === "file" ? "attach" : "pause";
    case "paused":
      return "resume";
    case "failed":
      return "retry";
    case "canceled":
    case "done":
      return null;
    default:
      return state satisfies never;
  }
}

function share(part: number, whole: number): number {
  return whole === 0 ? 0 : Math.min(1, part / whole);
}
