import type { UploadSnapshot, Uploads } from "backhaul";

/** What a user can do with an upload, each the name of its method of `Uploads`. */
export type Action = "pause" | "resume" | "retry" | "requestPermission" | "cancel" | "remove";

/** The words of lists and drop zones, for other languages and other tastes. */
export type Labels = Readonly<Record<Action | UploadSnapshot["state"] | "pick" | "list", string>>;

/** The words in English. */
export const LABELS: Labels = {
  pause: "Pause",
  resume: "Resume",
  retry: "Retry",
  requestPermission: "Allow reading",
  cancel: "Cancel",
  remove: "Remove",
  queued: "Queued",
  uploading: "Uploading",
  completing: "Completing",
  paused: "Paused",
  waiting: "Waiting",
  failed: "Failed",
  canceled: "Canceled",
  done: "Done",
  pick: "Choose files, or drop them here",
  list: "Uploads",
};

/** What can be done with an upload now. */
export function actionsOf({ state, error }: UploadSnapshot): readonly Action[] {
  if (state === "done" || state === "canceled") return ["remove"];
  if (state === "failed") return ["retry", "remove"];
  if (state === "paused") return ["resume", "cancel"];
  return error?.code === "FILE_PERMISSION" ? ["requestPermission", "cancel"] : ["pause", "cancel"];
}

/** Does it. What fails is left to the list, which shows the upload as it is. */
export function run(uploads: Uploads, action: Action, id: string): void {
  uploads[action](id).catch(() => {});
}

/** How much of the file has left, from 0 to 1. Of an empty file nothing has until it is done. */
export function shareOf({ size, estimatedBytes, state }: UploadSnapshot): number {
  return size === 0 ? Number(state === "done") : estimatedBytes / size;
}

/** Its state in words; what went wrong instead, where that is known. */
export function stateText({ state, error }: UploadSnapshot, labels: Labels): string {
  return error ? `${labels[state]}: ${error.message}` : labels[state];
}
