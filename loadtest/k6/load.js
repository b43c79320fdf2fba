// One script for every scenario. What to do stands in a JSON file that the wrapper writes (PLAN): it
// holds k6's `options` (executors, thresholds) and, for each scenario, the URL in its `env`.
//
// Every request costs the generator CPU that the system under test does not get, so this does
// little: no regular expression, no JSON.parse, one check. The check carries the answering target
// as a tag, which counts requests per target without a sample of its own.
import http from 'k6/http';
import { check } from 'k6';

const plan = JSON.parse(open(__ENV.PLAN));
export const options = plan.options;

http.setResponseCallback(http.expectedStatuses(200));
const params = { timeout: plan.timeout, responseType: 'text', redirects: 0 };
const answered = { 'status is 200': (response) => response.status === 200 };
const KEY = '"instance_id":';

function target(body) {
  const key = body ? body.indexOf(KEY) : -1;
  if (key < 0) return '';
  const start = body.indexOf('"', key + KEY.length) + 1;
  const end = body.indexOf('"', start);
  return end - start > 64 ? '' : body.substring(start, end);
}

export default function () {
  const response = http.get(__ENV.URL, params);
  check(response, answered, { target: target(response.body) });
}

export function handleSummary(summary) {
  return { [__ENV.SUMMARY]: JSON.stringify(summary, null, 1) };
}
