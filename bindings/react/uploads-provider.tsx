import type { UploadSnapshot } from "backhaul";
import {
  createContext,
  type ReactNode,
  useCallback,
  useContext,
  useEffect,
  useState,
  useSyncExternalStore,
} from "react";
import {
  type AddFilesOptions,
  addFiles,
  CONNECTING,
  type UploadsSource,
  UploadsStore,
  type UploadsView,
} from "../core/index.ts";

const Context = createContext<UploadsStore | null>(null);

/** Where the uploads come from. */
export interface UploadsProviderProps {
  /** Read at the first render only; give the provider another `key` to connect anew. */
  readonly source: UploadsSource;
  /** The part of the app that uses the uploads. */
  readonly children?: ReactNode;
}

/** Connects while it is on the page, and lets all below it use the uploads. On a server it renders them as a list without uploads. */
export function UploadsProvider({ source, children }: UploadsProviderProps): ReactNode {
  const [store] = useState(() => new UploadsStore(source));
  useEffect(store.retain, []);
  return <Context.Provider value={store}>{children}</Context.Provider>;
}

function useStore(): UploadsStore {
  const store = useContext(Context);
  if (!store) throw new Error("Uploads are used outside <UploadsProvider>.");
  return store;
}

/** The uploads as this page knows them now. Renders anew on every change, at most about 10 times a second. */
export function useUploads(): UploadsView {
  const { subscribe, get } = useStore();
  return useSyncExternalStore(subscribe, get, () => CONNECTING);
}

/** One upload; undefined if there is none with this id. Renders anew when that one changes. */
export function useUpload(id: string): UploadSnapshot | undefined {
  const { subscribe, get } = useStore();
  return useSyncExternalStore(
    subscribe,
    () => get().uploads?.get(id),
    () => undefined,
  );
}

/** A function that adds files, and waits for the connection if there is none yet. It returns the uploads' ids. */
export function useAddFiles(): (files: Iterable<File>, options?: AddFilesOptions) => Promise<string[]> {
  const store = useStore();
  return useCallback((files, options) => addFiles(store, files, options), [store]);
}
