/** A file and its path in what was dropped or picked; outside of a folder that is its name. */
export interface PickedFile {
  readonly file: File;
  readonly path: string;
}

/** The files of a drop, those in folders too. Must be called within the event: afterwards the browser has forgotten it. */
export async function droppedFiles(transfer: DataTransfer): Promise<PickedFile[]> {
  const found = [...transfer.items]
    .filter(({ kind }) => kind === "file")
    .map((item) => ({ entry: item.webkitGetAsEntry(), file: item.getAsFile() }));
  const picked = await Promise.all(
    found.map(({ entry, file }) => {
      // Without a folder the file itself is as good, and there for certain.
      if (entry?.isDirectory) return filesBelow(entry as FileSystemDirectoryEntry);
      return file ? [{ file, path: file.name }] : [];
    }),
  );
  return picked.flat();
}

async function filesBelow(folder: FileSystemDirectoryEntry): Promise<PickedFile[]> {
  const entries = await readAll(folder.createReader());
  const picked = await Promise.all(
    entries.map(async (entry) => {
      if (entry.isDirectory) return filesBelow(entry as FileSystemDirectoryEntry);
      const file = await new Promise<File>((resolve, reject) =>
        (entry as FileSystemFileEntry).file(resolve, reject),
      );
      return [{ file, path: entry.fullPath }];
    }),
  );
  return picked.flat();
}

/** A reader gives 100 entries at a time (Chromium) until it gives none. */
async function readAll(reader: FileSystemDirectoryReader): Promise<FileSystemEntry[]> {
  const all: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (some.length === 0) return all;
    all.push(...some);
  }
}
