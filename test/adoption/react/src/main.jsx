import { UploadDropzone, UploadList, UploadsProvider } from "backhaul/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import "backhaul/style.css";

createRoot(document.getElementById("app")).render(
  <StrictMode>
    <UploadsProvider source={{ worker: "/sw.js" }}>
      <UploadDropzone />
      <UploadList />
    </UploadsProvider>
  </StrictMode>,
);
