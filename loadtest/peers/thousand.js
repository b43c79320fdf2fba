// 1000 requests at a given concurrency; nothing is measured but the whole and the answers.
import http from "k6/http";
import { Counter } from "k6/metrics";

const wrong = new Counter("wrong");
const vus = Number(__ENV.VUS);

// Shared iterations let a quick user ask twice, on the same connection; with 1000 each asks once.
const executor =
  vus === 1000
    ? { executor: "per-vu-iterations", iterations: 1 }
    : { executor: "shared-iterations", iterations: 1000 };

export const options = {
  scenarios: { thousand: { ...executor, vus, maxDuration: "60s" } },
  discardResponseBodies: true,
  summaryTrendStats: ["med", "p(99)"],
};

export default function () {
  if (http.get(__ENV.URL).status !== 200) wrong.add(1);
}

export function handleSummary(data) {
  const count = (name) => (data.metrics[name] ? data.metrics[name].values.count : 0);
  return {
    stdout: JSON.stringify({
      seconds: data.state.testRunDurationMs / 1000,
      requests: count("http_reqs"),
      wrong: count("wrong"),
    }),
  };
}
