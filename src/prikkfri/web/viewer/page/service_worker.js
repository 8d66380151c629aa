// Keeps the whole interface on the device, so that it opens when the viewer role is dead or frozen.
// The role puts a first line before this: const SHELL = {version, files}. Only files of the viewer's own origin pass
// here; sign-in, tokens and the picture never do.
const CACHE = `shell-${SHELL.version}`;

self.addEventListener("install", (event) => {
  // All or nothing: a version that cannot be fetched whole is not taken, and the old one serves on.
  event.waitUntil(
    caches
      .open(CACHE)
      .then((cache) => cache.addAll(SHELL.files.map((file) => new Request(file, { cache: "reload" }))))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== self.location.origin) return;
  if (!SHELL.files.includes(url.pathname)) return;
  event.respondWith(
    caches
      .open(CACHE)
      .then((cache) => cache.match(url.pathname))
      .then((kept) => kept ?? fetch(event.request)),
  );
});
