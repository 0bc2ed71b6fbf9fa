import type { UploadSnapshot } from "backhaul";
import {
  type AddFilesOptions,
  addFiles,
  type UploadsSource,
  UploadsStore,
  type UploadsView,
} from "../core/index.ts";

export type { AddFilesOptions, Totals, UploadsSource, UploadsView } from "../core/index.ts";
export { totalsOf } from "../core/index.ts";

/** A store as Svelte knows them, for `$` in components of every version. */
export interface UploadsReadable<T> {
  /** Calls back at once and on every change, until undone. */
  subscribe(run: (value: T) => void): () => void;
}

/** The uploads, as a store. */
export interface UploadsReader extends UploadsReadable<UploadsView> {
  /** One upload, as a store; its value is undefined if there is none with this id. */
  upload(id: string): UploadsReadable<UploadSnapshot | undefined>;
  /** Adds files, and waits for the connection if there is none yet. Returns the uploads' ids. */
  addFiles(files: Iterable<File>, options?: AddFilesOptions): Promise<string[]>;
}

/**
 * Makes a store of the uploads, for a module that components import. This page is connected while something subscribes to it;
 * on a server it never is.
 */
export function createUploads(source: UploadsSource): UploadsReader {
  const store = new UploadsStore(source);
  const readable = <T>(select: (view: UploadsView) => T): UploadsReadable<T> => ({
    subscribe(run) {
      let last = select(store.get());
      const stop = store.subscribe(() => {
        const value = select(store.get());
        if (value === last) return;
        last = value;
        run(value);
      });
      run(last);
      const release = store.retain();
      return () => {
        stop();
        release();
      };
    },
  });
  return {
    ...readable((view) => view),
    upload: (id) => readable(({ uploads }) => uploads?.get(id)),
    addFiles: (files, options) => addFiles(store, files, options),
  };
}
