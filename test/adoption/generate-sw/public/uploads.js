backhaul.serveUploads({ storage: backhaul.httpStorage({ endpoint: "/uploads" }) });
