"use client";
import { UploadDropzone, UploadList, UploadsProvider } from "backhaul/react";
import "backhaul/style.css"; // optional

export function Uploads() {
  return (
    <UploadsProvider source={{ worker: "/sw.js" }}>
      <UploadDropzone />
      <UploadList />
    </UploadsProvider>
  );
}
