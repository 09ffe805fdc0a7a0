// centrifuge-js in a page of a headless Chromium: what only a browser does is cookies, origins and
// subprotocols of its own.
import chromium from '@sparticuz/chromium';
import puppeteer from 'puppeteer-core';
import { URL_DIRECT, api, run, same, token, until } from './common.mjs';

const { CHROMIUM, PAGE, FOREIGN_PAGE } = process.env;
const browser = await puppeteer.launch({
  args: [...chromium.args, '--no-sandbox'],
  executablePath: CHROMIUM,
  headless: 'shell',
});

async function page(url) {
  const made = await browser.newPage();
  await made.goto(url);
  return made;
}

// In the page: connects, joins, publishes and gives back what came.
const talk = (url, options, channel) => new Promise((done) => {
  const client = new Centrifuge(url, options);
  const sub = client.newSubscription(channel);
  const seen = [];
  const end = (why) => {
    done({ why, seen });
    client.disconnect();
  };
  setTimeout(() => end('timeout'), 15000);
  client.on('disconnected', (ctx) => end(ctx.code));
  client.on('error', (ctx) => seen.push(ctx.error.message));
  sub.on('subscribed', () => sub.publish({ from: 'page' }));
  sub.on('publication', (ctx) => {
    seen.push(ctx.data);
    document.getElementById('log').append(JSON.stringify(ctx.data));
    if (seen.length === 2) end('done');
  });
  client.connect();
  sub.subscribe();
});

// In the page: a plain WebSocket with subprotocols; what was agreed on, and the first answer.
const plain = (url, protocols, command) => new Promise((done) => {
  const socket = new WebSocket(url, protocols);
  socket.onopen = () => socket.send(JSON.stringify(command));
  socket.onmessage = ({ data }) => {
    done({ protocol: socket.protocol, data });
    socket.close();
  };
  socket.onclose = ({ code }) => done({ code });
});

const connected = ({ data }) => JSON.parse(data.split('\n')[0]).connect?.client;

await run({
  async 'a page connects, publishes and receives'() {
    const tab = await page(PAGE);
    const talking = tab.evaluate(talk, URL_DIRECT, { token: token({ sub: 'page' }) }, 'chat:page');
    await until('the page in its room', async () => (await api('presence_stats', { channel: 'chat:page' })).num_clients === 1);
    await until("the page's publication", async () => (await api('history', { channel: 'chat:page', limit: 1 })).publications.length === 1);
    await api('publish', { channel: 'chat:page', data: { from: 'api' } });
    const { why, seen } = await talking;
    same('talk', [why, seen], ['done', [{ from: 'page' }, { from: 'api' }]]);
    same('shown', await tab.$eval('#log', (log) => log.textContent), '{"from":"page"}{"from":"api"}');
    await tab.close();
  },

  async 'a token as a subprotocol'() {
    const tab = await page(PAGE);
    const command = { id: 1, connect: {} };
    const answer = await tab.evaluate(plain, URL_DIRECT, ['bearer', token({ sub: 'page' })], command);
    same('agreed on', answer.protocol, 'bearer');
    if (!connected(answer)) throw new Error(`not connected: ${answer.data}`);
    await tab.close();
  },

  async 'a token in a cookie'() {
    const tab = await page(PAGE);
    const { hostname } = new URL(PAGE);
    await browser.setCookie({ name: 'token', value: token({ sub: 'page' }), domain: hostname, path: '/', httpOnly: true });
    const answer = await tab.evaluate(plain, URL_DIRECT, [], { id: 1, connect: {} });
    if (!answer.data || !connected(answer)) throw new Error(`not connected: ${JSON.stringify(answer)}`);
    await tab.close();
  },

  async 'a page of another origin is refused'() {
    const tab = await page(FOREIGN_PAGE);
    const command = { id: 1, connect: { token: token({ sub: 'page' }) } };
    const answer = await tab.evaluate(plain, URL_DIRECT, [], command);
    same('closed', answer, { code: 1006 });
    await tab.close();
  },
});
