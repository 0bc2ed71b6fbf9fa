/** A stand-in for `FileSystemFileHandle`, which Node lacks. It opens the file that the test puts into it. */
export class FileHandle {
  /** How often it was opened. */
  opened = 0;

  /** @param file what is on disk, or why it can't be read */
  constructor(public file: File | Error) {}

  async getFile(): Promise<File> {
    this.opened += 1;
    if (this.file instanceof Error) throw this.file;
    return this.file;
  }
}
