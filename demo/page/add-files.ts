import { freeKey, isUploadError, safeKey, type Uploads } from "backhaul";
import type { PickedFile } from "./dropped-files.ts";

const GROUP_SIZE = 25;

export interface FileAdderOptions {
  /** Files that wait for the connection. */
  readonly onWaiting: (count: number) => void;
  /** @param what the file or files that were not added */
  readonly onRefused: (what: string, error: unknown) => void;
}

/** Hands files to the uploads, and keeps those that come before there is a connection. */
export class FileAdder {
  readonly #options: FileAdderOptions;
  #uploads: Uploads | undefined;
  #waiting: PickedFile[] = [];
  /** Keys given to files that are not on the list yet. */
  readonly #reserved = new Set<string>();

  constructor(options: FileAdderOptions) {
    this.#options = options;
  }

  connect(uploads: Uploads): void {
    this.#uploads = uploads;
    const files = this.#waiting;
    this.#waiting = [];
    this.#options.onWaiting(0);
    this.add(files);
  }

  add(files: readonly PickedFile[]): void {
    if (files.length === 0) return;
    if (this.#uploads) {
      void this.#addInGroups(this.#uploads, files);
      return;
    }
    this.#waiting.push(...files);
    this.#options.onWaiting(this.#waiting.length);
  }

  /** Each group in a task of its own: handing a thousand files to the worker at once would hold the page up. */
  async #addInGroups(uploads: Uploads, files: readonly PickedFile[]): Promise<void> {
    for (let at = 0; at < files.length; at += GROUP_SIZE) {
      void this.#addTo(uploads, files.slice(at, at + GROUP_SIZE));
      await new Promise((resolve) => setTimeout(resolve));
    }
  }

  async #addTo(uploads: Uploads, files: readonly PickedFile[]): Promise<void> {
    const taken = new Set(uploads.list().map(({ key }) => key));
    const keyed = files.map(({ file, path }) => {
      const key = freeKey(safeKey(path), (key) => taken.has(key) || this.#reserved.has(key));
      this.#reserved.add(key);
      return { file, key };
    });
    try {
      await uploads.addAll(keyed);
    } catch (error) {
      if (keyed.length > 1 && isAboutOneFile(error)) await this.#addEach(uploads, keyed);
      else this.#options.onRefused(namesOf(files), error);
    } finally {
      for (const { key } of keyed) this.#reserved.delete(key);
    }
  }

  /** `addAll` refuses all files for a single bad one, so each is added by itself. */
  async #addEach(uploads: Uploads, keyed: readonly { file: File; key: string }[]): Promise<void> {
    for (const { file, key } of keyed) {
      try {
        await uploads.add(file, { key });
      } catch (error) {
        this.#options.onRefused(`“${file.name}” was not added`, error);
      }
    }
  }
}

function isAboutOneFile(error: unknown): boolean {
  if (!isUploadError(error)) return false;
  const { code } = error;
  return code === "FILE_TOO_LARGE" || code === "FILE_INVALID" || code === "KEY_INVALID";
}

function namesOf(files: readonly PickedFile[]): string {
  const [first] = files;
  if (files.length === 1 && first) return `“${first.file.name}” was not added`;
  return `${files.length} files were not added`;
}
