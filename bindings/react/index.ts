"use client";

export type { AddFilesOptions, Labels, Totals, UploadsSource, UploadsView } from "../core/index.ts";
export { totalsOf } from "../core/index.ts";
export { UploadDropzone, type UploadDropzoneProps } from "./upload-dropzone.tsx";
export { UploadList, type UploadListProps } from "./upload-list.tsx";
export {
  UploadsProvider,
  type UploadsProviderProps,
  useAddFiles,
  useUpload,
  useUploads,
} from "./uploads-provider.tsx";
