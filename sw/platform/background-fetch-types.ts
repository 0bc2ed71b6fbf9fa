// Exported rather than declared for all: an app's compiler gets these, but not the declarations of `browser-features.d.ts`.

export interface BackgroundFetchRecord {
  readonly request: Request;
  /** Rejects if the request ends without an answer. */
  readonly responseReady: Promise<Response>;
}

export interface BackgroundFetchRegistration {
  readonly id: string;
  matchAll(): Promise<readonly BackgroundFetchRecord[]>;
}

export interface BackgroundFetchManager {
  get(id: string): Promise<BackgroundFetchRegistration | undefined>;
  getIds(): Promise<readonly string[]>;
}

export interface BackgroundFetchEvent extends ExtendableEvent {
  readonly registration: BackgroundFetchRegistration;
}

export interface SyncEvent extends ExtendableEvent {
  readonly tag: string;
}
