import { type ReactNode, useState } from "react";
import { type AddFilesOptions, LABELS } from "../core/index.ts";
import { useAddFiles } from "./uploads-provider.tsx";

/** How a drop zone looks, what it accepts, and how its files are uploaded. */
export interface UploadDropzoneProps extends AddFilesOptions {
  /** What the zone says. @default "Choose files, or drop them here" */
  readonly children?: ReactNode;
  /** The file types that the browser's dialog offers, as of `<input accept>`. @default all */
  readonly accept?: string;
  /** Whether several files can be chosen at once. @default true */
  readonly multiple?: boolean;
  /** The class for styles. @default "backhaul-dropzone" */
  readonly className?: string;
  /** Called with the uploads' ids once files are added. */
  readonly onAdded?: (ids: readonly string[]) => void;
  /** Called if files can't be added, with an `UploadError`. @default the error is reported as uncaught */
  readonly onError?: (error: unknown) => void;
}

/** A labelled file input that takes dropped files too. While files hang over it, it has `data-over`. */
export function UploadDropzone({
  children = LABELS.pick,
  accept,
  multiple = true,
  className = "backhaul-dropzone",
  onAdded,
  onError = (error) => reportError(error),
  ...options
}: UploadDropzoneProps): ReactNode {
  const [isOver, setOver] = useState(false);
  const addFiles = useAddFiles();
  const add = (files: FileList | null) => {
    if (files?.length) void addFiles(files, options).then(onAdded, onError);
  };
  return (
    <label
      className={className}
      data-over={isOver || undefined}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        add(event.dataTransfer.files);
      }}
    >
      {children}
      <input
        type="file"
        accept={accept}
        multiple={multiple}
        onChange={({ target }) => {
          add(target.files);
          // Or the same file could not be picked again.
          target.value = "";
        }}
      />
    </label>
  );
}
