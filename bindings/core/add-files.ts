import { type AddOptions, safeKey } from "backhaul";
import type { UploadsStore } from "./uploads-store.ts";

/** How files that a user has picked or dropped are uploaded. */
export interface AddFilesOptions extends Omit<AddOptions, "key"> {
  /** The object's key in the bucket for a file. @default a random UUID, a slash, and the file's name: none replaces another */
  readonly keyOf?: (file: File) => string;
}

/** Adds files, once connected. Returns the uploads' ids. @throws {UploadError} as `connectUploads` and `Uploads.addAll` */
export async function addFiles(
  store: UploadsStore,
  files: Iterable<File>,
  { keyOf = freshKey, ...options }: AddFilesOptions = {},
): Promise<string[]> {
  const wanted = [...files].map((file) => ({ ...options, file, key: keyOf(file) }));
  return (await store.connected()).addAll(wanted);
}

function freshKey({ name }: File): string {
  return `${crypto.randomUUID()}/${safeKey(name)}`;
}
