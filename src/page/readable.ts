import { explained } from "../core/error-messages.ts";
import type { Source } from "../protocol/protocol.ts";
import { inSlices } from "./in-slices.ts";
import type { PagePlatform } from "./platform.ts";

/** Reading costs milliseconds a file, so only what is suspicious is tried, and not without end. */
const MOST_TRIED = 100;
/** Files of this size are few, and what is made by script beyond what the browser holds is large. */
const LARGE_BYTES = 16 * 1024 * 1024;

/**
 * Tries to read the first byte of files that may not be readable: folders, which a drop gives among its files, and large ones.
 *
 * @throws {UploadError} `FILE_UNREADABLE`, with the cause and its remedy
 */
export async function checkReadable(
  sources: readonly Source[],
  platform: Pick<PagePlatform, "yieldThread">,
): Promise<void> {
  const suspicious: File[] = [];
  await inSlices(sources, platform, (source) => {
    if (source instanceof File && suspicious.length < MOST_TRIED && isSuspicious(source))
      suspicious.push(source);
  });
  await Promise.all(suspicious.map(tryToRead));
}

/** Chromium asks the disk for a file's size each time. */
function isSuspicious(file: File): boolean {
  return file.type === "" || file.size >= LARGE_BYTES;
}

async function tryToRead(file: File): Promise<void> {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch (cause) {
    const isMissing = cause instanceof DOMException && cause.name === "NotFoundError";
    const detail = isMissing
      ? `${file.name} is a folder, whose files are to be added one by one (webkitGetAsEntry), or was moved or deleted`
      : `${file.name} was changed since it was picked, which means to pick it again; or it was made by script and is more than the browser holds in memory, some 500 MB in Chromium, so add less at a time`;
    throw explained({ code: "FILE_UNREADABLE", detail }, { cause });
  }
}
