// Reads a status page with somebody else's client; prints what that client understood as one JSON document.
import client from "@aero/statuspage";

const page = new client.StatusPageClient(process.argv[2]);
const [summary, status, components, incidents] = await Promise.all([
  page.summary(), page.status(), page.components(), page.incidents(true),
]);
const named = (parts) => parts.map(({ id, name, status, updated }) => ({ id, name, status, updated }));
console.log(JSON.stringify({
  page: summary.page,
  status: summary.status,
  components: named(summary.components),
  incidents: summary.incidents,
  same: [
    JSON.stringify(status.status) === JSON.stringify(summary.status),
    JSON.stringify(named(components)) === JSON.stringify(named(summary.components)),
    JSON.stringify(incidents) === JSON.stringify(summary.incidents),
  ],
}));
