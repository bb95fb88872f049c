// Three files with names that stay: the api embeds them and tags them by content. No inline script or style, so that the page's policy can forbid both.
import { defineConfig } from "vite";

export default defineConfig(({ command }) => ({
  base: command === "build" ? "/dashboard/" : "/",
  publicDir: false,
  build: {
    target: "es2022",
    modulePreload: false,
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    reportCompressedSize: true,
    rollupOptions: {
      output: {
        entryFileNames: "app.js",
        assetFileNames: "app[extname]",
        inlineDynamicImports: true,
      },
    },
  },
  // For work on the page: `npx vite`, with an api on its usual port.
  server: { host: "127.0.0.1", proxy: { "/v1": process.env.API ?? "http://127.0.0.1:8000" } },
}));
