// Makes the keys that tokens of this run are signed with, and the JWKS and PEM files for the server.
// usage: node keys.mjs DIR
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';

const dir = process.argv[2];
const make = {
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: () => generateKeyPairSync('ed25519'),
};
for (const [name, pair] of Object.entries(make)) {
  const { publicKey, privateKey } = pair();
  writeFileSync(`${dir}/${name}.key`, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  writeFileSync(`${dir}/${name}.pem`, publicKey.export({ type: 'spki', format: 'pem' }));
  if (name === 'EdDSA') {
    const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'ed', use: 'sig', alg: 'EdDSA' };
    writeFileSync(`${dir}/set.json`, JSON.stringify({ keys: [jwk] }));
  }
}
