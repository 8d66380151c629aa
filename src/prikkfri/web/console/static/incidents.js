// The pages of incidents: kept current.
import { Watching } from "./watching.js";

const page = document.querySelector("[data-live]");
new Watching(page.dataset.live, page);
