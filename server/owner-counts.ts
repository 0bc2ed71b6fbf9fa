/**
 * Counts for each owner that several servers share, in the place of those that each keeps in its memory. `redisCounts`
 * of `backhaul/server/redis` is one.
 */
export interface OwnerCounts {
  /**
   * Counts one more upload that the owner begins in this minute.
   *
   * @returns milliseconds until it may begin one again; 0 if it may begin this one
   */
  begin(owner: string, perMinute: number): Promise<number>;
  /**
   * Gives the owner a place for one more relayed request.
   *
   * @returns frees the place again; null if `most` places are occupied
   */
  enterRelay(owner: string, most: number): Promise<(() => Promise<void>) | null>;
}
