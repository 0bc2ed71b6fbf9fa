import { UploadDropzone, UploadList, UploadsProvider } from "backhaul/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

createRoot(document.querySelector("main") as HTMLElement).render(
  <StrictMode>
    <UploadsProvider source={{ worker: "/sw.js" }}>
      <UploadDropzone keyOf={({ name }) => `react/${name}`} />
      <UploadList />
    </UploadsProvider>
  </StrictMode>,
);
