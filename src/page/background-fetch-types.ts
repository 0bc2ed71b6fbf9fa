// Exported rather than declared for all: an app's compiler gets these, but not the declarations of `browser-features.d.ts`.

/** The browser's background fetches, as far as pages use them. */
export interface BackgroundFetchManager {
  getIds(): Promise<readonly string[]>;
  fetch(id: string, requests: readonly Request[], options: { readonly title: string }): Promise<unknown>;
}
