import { SNAPSHOTS_PER_MESSAGE, type UploadList } from "../protocol/protocol.ts";
import type { Connection } from "./connection.ts";

/** Fetches the worker's list, a long one in several messages, each of which holds up the page for a moment only. */
export async function fetchList(connection: Connection): Promise<UploadList> {
  for (;;) {
    const { rest, ...list } = await connection.call((api) => api.list());
    if (!rest) return list;
    const places: number[] = [];
    for (let from = 0; from < rest.count; from += SNAPSHOTS_PER_MESSAGE) places.push(from);
    const slices = await Promise.all(
      places.map((from) => connection.call((api) => api.listRest(rest.id, from))),
    );
    // A worker that has died since knows nothing of it, and its successor's list is a later one.
    if (!slices.includes(null))
      return { ...list, uploads: [...list.uploads, ...slices.flatMap((slice) => slice ?? [])] };
  }
}
