// What the checks of the JavaScript library share: tokens, the API, the rig, and how results are told.
import { createHmac, createPrivateKey, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';

export const { FLOOD, URL_PROXIED, URL_DIRECT, API, API_KEY, SECRET, RIG, KEYS } = process.env;

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const now = () => Math.floor(Date.now() / 1000);

export function token(claims, { ttl = 600, secret = SECRET } = {}) {
  const message = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ exp: now() + ttl, ...claims })}`;
  return `${message}.${createHmac('sha256', secret).update(message).digest('base64url')}`;
}

// A token of one of the keys in KEYS.
export function signed(alg, claims) {
  const header = alg === 'EdDSA' ? { alg, kid: 'ed' } : { alg };
  const message = `${encode(header)}.${encode({ exp: now() + 600, ...claims })}`;
  const key = createPrivateKey(readFileSync(`${KEYS}/${alg}.key`));
  const options = alg === 'ES256' ? { key, dsaEncoding: 'ieee-p1363' } : key;
  const digest = alg === 'EdDSA' ? null : 'sha256';
  return `${message}.${sign(digest, Buffer.from(message), options).toString('base64url')}`;
}

export async function api(method, body) {
  const answer = await fetch(`${API}/${method}`, {
    method: 'POST',
    headers: { 'X-API-Key': API_KEY, 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });
  const { result, error } = await answer.json();
  if (error) throw new Error(`${method}: ${error.code} ${error.message}`);
  return result;
}

// What only the rig can do: cut, mend, restart.
export async function rig(what) {
  const answer = await fetch(`${RIG}/${what}`, { method: 'POST' });
  if (!answer.ok) throw new Error(`the rig did not ${what}: ${await answer.text()}`);
}

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// Waits until `test` gives something; the names in an error say for what.
export async function until(what, test, ms = 15000) {
  for (const end = Date.now() + ms; Date.now() < end; await sleep(10)) {
    const value = await test();
    if (value) return value;
  }
  throw new Error(`not in time: ${what}`);
}

export function same(what, found, expected) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${what}: ${a}, not ${b}`);
}

// Runs checks one after another, and says of each whether it held.
export async function run(checks) {
  let failed = 0;
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check();
      console.log(`ok ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`not ok ${name}: ${error.message.split('\n')[0]}`);
      if (process.env.VERBOSE) console.error(error);
    }
  }
  process.exit(failed ? 1 : 0);
}
