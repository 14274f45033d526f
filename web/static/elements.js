// Elements for pages of other sites: <kinolog-status job>, <kinolog-jobs> and <kinolog-player asset>, each with a token.
// An ES module without dependencies; docs/embed.md describes them.
//
//   <script type="module" src="https://kinolog.example/static/elements.js"></script>
//   <kinolog-status job="job_…" token="…"></kinolog-status>

import { define } from "./embed/base.js";
import { KinologJobs } from "./embed/jobs.js";
import { KinologPlayer } from "./embed/player.js";
import { KinologStatus } from "./embed/status.js";

define("kinolog-status", KinologStatus);
define("kinolog-jobs", KinologJobs);
define("kinolog-player", KinologPlayer);

export { KinologJobs, KinologPlayer, KinologStatus };
