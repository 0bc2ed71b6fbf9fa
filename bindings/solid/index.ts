import type { UploadSnapshot } from "backhaul";
import {
  type Accessor,
  createComponent,
  createContext,
  createMemo,
  createSignal,
  type JSX,
  onCleanup,
  onMount,
  useContext,
} from "solid-js";
import {
  type AddFilesOptions,
  addFiles,
  type UploadsSource,
  UploadsStore,
  type UploadsView,
} from "../core/index.ts";

export type { AddFilesOptions, Totals, UploadsSource, UploadsView } from "../core/index.ts";
export { totalsOf } from "../core/index.ts";

const Context = createContext<UploadsStore>();

/** Where the uploads come from. */
export interface UploadsProviderProps {
  /** Read once, when the provider is made. */
  readonly source: UploadsSource;
  /** The part of the app that uses the uploads. */
  readonly children?: JSX.Element;
}

/** Connects while it is on the page, and lets all below it use the uploads. */
export function UploadsProvider(props: UploadsProviderProps): JSX.Element {
  const store = new UploadsStore(props.source);
  onMount(() => onCleanup(store.retain()));
  return createComponent(Context.Provider, {
    value: store,
    get children() {
      return props.children;
    },
  });
}

function useStore(): UploadsStore {
  const store = useContext(Context);
  if (!store) throw new Error("Uploads are used outside <UploadsProvider>.");
  return store;
}

/** The uploads as this page knows them now. */
export function useUploads(): Accessor<UploadsView> {
  const store = useStore();
  const [view, setView] = createSignal(store.get());
  onCleanup(store.subscribe(() => setView(store.get())));
  return view;
}

/** One upload; undefined if there is none with this id. */
export function useUpload(id: Accessor<string>): Accessor<UploadSnapshot | undefined> {
  const view = useUploads();
  return createMemo(() => view().list.find((upload) => upload.id === id()));
}

/** A function that adds files, and waits for the connection if there is none yet. It returns the uploads' ids. */
export function useAddFiles(): (files: Iterable<File>, options?: AddFilesOptions) => Promise<string[]> {
  const store = useStore();
  return (files, options) => addFiles(store, files, options);
}
