import type { UploadSnapshot, Uploads } from "backhaul";
import {
  type ComputedRef,
  computed,
  type InjectionKey,
  inject,
  type MaybeRefOrGetter,
  onMounted,
  onScopeDispose,
  provide,
  type ShallowRef,
  shallowRef,
  toValue,
} from "vue";
import {
  type AddFilesOptions,
  addFiles,
  type UploadsSource,
  UploadsStore,
  type UploadsView,
} from "../core/index.ts";

export type { AddFilesOptions, Totals, UploadsSource, UploadsView } from "../core/index.ts";
export { totalsOf } from "../core/index.ts";

const KEY: InjectionKey<UploadsStore> = Symbol("backhaul");

/** What a component has of the uploads. */
export interface UseUploads {
  /** The connected uploads; null on a server, until connected, and if connecting has failed. */
  readonly uploads: ComputedRef<Uploads | null>;
  /** All uploads, in the order they were added. */
  readonly list: ComputedRef<readonly UploadSnapshot[]>;
  /** Why this page could not connect, such as an `UploadError` with `NOT_SUPPORTED`; else null. */
  readonly error: ComputedRef<unknown>;
  /** Adds files, and waits for the connection if there is none yet. Returns the uploads' ids. */
  readonly addFiles: (files: Iterable<File>, options?: AddFilesOptions) => Promise<string[]>;
}

/** Connects while this component is mounted, and lets it and all below it use the uploads. To be called in its `setup`. */
export function provideUploads(source: UploadsSource): UseUploads {
  const store = new UploadsStore(source);
  provide(KEY, store);
  onMounted(() => ends.push(store.retain()));
  const ends: (() => void)[] = [];
  onScopeDispose(() => {
    for (const end of ends) end();
  });
  return useStore(store);
}

/** The uploads as this page knows them now. To be called in a `setup` below `provideUploads`. */
export function useUploads(): UseUploads {
  const store = inject(KEY);
  if (!store) throw new Error("useUploads is called outside a component that has called provideUploads.");
  return useStore(store);
}

/** One upload; undefined if there is none with this id. */
export function useUpload(id: MaybeRefOrGetter<string>): ComputedRef<UploadSnapshot | undefined> {
  const { list } = useUploads();
  return computed(() => list.value.find((upload) => upload.id === toValue(id)));
}

function useStore(store: UploadsStore): UseUploads {
  const view: ShallowRef<UploadsView> = shallowRef(store.get());
  const stop = store.subscribe(() => {
    view.value = store.get();
  });
  onScopeDispose(stop);
  return {
    uploads: computed(() => view.value.uploads),
    list: computed(() => view.value.list),
    error: computed(() => view.value.error),
    addFiles: (files, options) => addFiles(store, files, options),
  };
}
