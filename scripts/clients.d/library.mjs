// centrifuge-js as it comes from npm, in Node.
import { Centrifuge } from 'centrifuge';
import WebSocket from 'ws';
import {
  FLOOD, URL_DIRECT, URL_PROXIED, api, rig, run, same, signed, sleep, token, until,
} from './common.mjs';

const open = new Set();

// A client that remembers what happened to it.
function client(options = {}, url = URL_PROXIED) {
  const { websocket = WebSocket, ...rest } = options;
  const made = new Centrifuge(url, { websocket, minReconnectDelay: 50, maxReconnectDelay: 300, ...rest });
  made.seen = [];
  for (const event of ['connecting', 'connected', 'disconnected', 'error']) {
    made.on(event, (ctx) => made.seen.push({ event, ...ctx }));
  }
  open.add(made);
  made.connect();
  return made;
}

const by = (user, claims = {}) => ({ token: token({ sub: user, ...claims }) });

async function joined(of, channel, options = {}) {
  const sub = of.newSubscription(channel, options);
  sub.seen = [];
  sub.got = [];
  for (const event of ['subscribed', 'subscribing', 'unsubscribed', 'error', 'join', 'leave']) {
    sub.on(event, (ctx) => sub.seen.push({ event, ...ctx }));
  }
  sub.on('publication', (ctx) => sub.got.push(ctx));
  sub.subscribe();
  await sub.ready(15000);
  return sub;
}

const numbers = (sub) => sub.got.map((publication) => publication.data.n);
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, at) => from + at);

async function publish(channel, from, to) {
  for (const n of range(from, to)) await api('publish', { channel, data: { n } });
}

async function closed(...clients) {
  for (const one of clients) {
    one.disconnect();
    open.delete(one);
  }
}

// By hand, because the library refreshes its token or ends by itself. Begun at once: the server
// waits for a refresh before it closes.
const outlived = new Promise((done) => {
  const socket = new WebSocket(URL_DIRECT);
  socket.on('open', () => {
    const connect = { token: token({ sub: 'late' }, { ttl: 2 }) };
    socket.send(JSON.stringify({ id: 1, connect }));
  });
  socket.on('message', (data) => {
    // Pings are answered, so that nothing but the token can end it.
    if (data.toString().trim() === '{}') socket.send('{}');
  });
  socket.on('close', (code) => done(code));
  socket.on('error', () => done('error'));
});

await run({
  async connect() {
    const one = client(by('ann'));
    await one.ready(15000);
    const { client: id, transport } = one.seen.find((ctx) => ctx.event === 'connected');
    if (!id || transport !== 'websocket') throw new Error(`connected as ${id} by ${transport}`);
    await closed(one);
  },

  async 'each algorithm of tokens'() {
    for (const alg of ['RS256', 'ES256', 'EdDSA']) {
      const one = client({ token: signed(alg, { sub: 'ann' }) });
      await one.ready(15000);
      await closed(one);
    }
  },

  async 'subscribe, publish, receive'() {
    const [ann, bob] = [client(by('ann', { info: { name: 'Ann' } })), client(by('bob'))];
    const [hers, his] = [await joined(ann, 'chat:1'), await joined(bob, 'chat:1')];
    const text = 'é "quoted" \\ \n \u{1f600}';
    await hers.publish({ n: 1, text });
    await api('publish', { channel: 'chat:1', data: { n: 2, text } });
    for (const sub of [hers, his]) {
      await until('both publications', () => sub.got.length === 2);
      same('numbers', numbers(sub), [1, 2]);
      same('text', sub.got[0].data.text, text);
      same('publisher', sub.got[0].info.user, 'ann');
      same('publisher of the API', sub.got[1].info, undefined);
      if (sub.got[1].offset !== sub.got[0].offset + 1) throw new Error('offsets do not follow');
    }
    await closed(ann, bob);
  },

  async 'commands in one frame'() {
    const ann = client(by('ann'));
    await ann.ready(15000);
    ann.startBatching();
    const subs = range(1, 20).map((n) => joined(ann, `chat:batch-${n}`));
    ann.stopBatching();
    await Promise.all(subs);
    await closed(ann);
  },

  async 'presence, join and leave'() {
    const [ann, bob] = [client(by('ann', { info: { name: 'Ann' } })), client(by('bob'))];
    const hers = await joined(ann, 'chat:2');
    const his = await joined(bob, 'chat:2');
    await until("bob's join", () => hers.seen.some((ctx) => ctx.event === 'join' && ctx.info.user === 'bob'));
    const { clients } = await his.presence();
    same('users', Object.values(clients).map((info) => info.user).sort(), ['ann', 'bob']);
    const info = Object.values(clients).find((one) => one.user === 'ann').connInfo;
    same('info', info, { name: 'Ann' });
    const { numClients, numUsers } = await his.presenceStats();
    same('stats', [numClients, numUsers], [2, 2]);
    const presence = (await api('presence', { channel: 'chat:2' })).presence;
    same('presence of the API', Object.keys(presence).sort(), Object.keys(clients).sort());
    his.unsubscribe();
    await until("bob's leave", () => hers.seen.some((ctx) => ctx.event === 'leave' && ctx.info.user === 'bob'));
    await closed(ann, bob);
  },

  async history() {
    const ann = client(by('ann'));
    const sub = await joined(ann, 'chat:3');
    await publish('chat:3', 1, 5);
    const all = await sub.history({ limit: -1 });
    same('all', all.publications.map((one) => one.data.n), [1, 2, 3, 4, 5]);
    const since = { offset: all.publications[1].offset, epoch: all.epoch };
    const page = await sub.history({ limit: 2, since });
    same('a page', page.publications.map((one) => one.data.n), [3, 4]);
    const back = await sub.history({ limit: 2, reverse: true });
    same('backwards', back.publications.map((one) => one.data.n), [5, 4]);
    const none = await sub.history();
    same('position only', [none.publications.length, none.offset], [0, all.offset]);
    await closed(ann);
  },

  async 'recovered after the socket is cut'() {
    const ann = client(by('ann'));
    const sub = await joined(ann, 'chat:4');
    await publish('chat:4', 1, 5);
    await until('the first five', () => sub.got.length === 5);
    await rig('cut');
    await until('the cut to be noticed', () => ann.state === 'connecting');
    await publish('chat:4', 6, 15);
    await rig('mend');
    const again = await until('subscribed again', () => sub.seen.filter((ctx) => ctx.event === 'subscribed')[1]);
    await publish('chat:4', 16, 20);
    await until('all', () => sub.got.length >= 20);
    await sleep(200);
    same('recovered', [again.wasRecovering, again.recovered], [true, true]);
    same('numbers', numbers(sub), range(1, 20));
    await closed(ann);
  },

  async 'a token is refreshed'() {
    let asked = 0;
    const getToken = async () => {
      asked += 1;
      return token({ sub: 'ann' }, { ttl: 2 });
    };
    const ann = client({ getToken });
    await ann.ready(15000);
    await until('three refreshes', () => asked >= 4, 30000);
    same('connections', ann.seen.filter((ctx) => ctx.event === 'connected').length, 1);
    await closed(ann);
  },

  async 'an expired token is asked for again'() {
    const getToken = async () => token({ sub: 'ann' });
    const ann = client({ token: token({ sub: 'ann' }, { ttl: -5 }), getToken });
    await ann.ready(15000);
    await closed(ann);
  },

  async 'a wrong token ends it'() {
    const eve = client({ token: token({ sub: 'eve' }, { secret: 'another secret' }) });
    const end = await until('the end', () => eve.seen.find((ctx) => ctx.event === 'disconnected'));
    same('code', end.code, 3500);
    const none = client({});
    const refused = await until('the end', () => none.seen.find((ctx) => ctx.event === 'disconnected'));
    if (refused.code < 3500 && refused.code !== 1) throw new Error(`closed with ${refused.code}`);
    await closed(eve, none);
  },

  async 'an unauthorised room'() {
    const ann = client(by('ann'));
    const sub = ann.newSubscription('closed:1');
    const end = new Promise((done) => sub.on('unsubscribed', done));
    sub.subscribe();
    same('code', (await end).code, 103);
    const unknown = ann.newSubscription('nowhere:1');
    const no = new Promise((done) => unknown.on('unsubscribed', done));
    unknown.subscribe();
    same('code of an unknown namespace', (await no).code, 102);
    const getToken = async ({ channel }) => token({ sub: 'ann', channel });
    const let_in = await joined(ann, 'closed:1', {}).catch(() => null);
    if (let_in) throw new Error('it was let in after all');
    const third = await joined(ann, 'closed:2', { getToken });
    await api('publish', { channel: 'closed:2', data: { n: 1 } });
    await until('a publication by leave of a token', () => third.got.length === 1);
    await third.publish({ n: 2 }).then(
      () => { throw new Error('it could publish'); },
      (error) => same('code of publish', error.code, 103),
    );
    await closed(ann);
  },

  async 'told to go by the API'() {
    const ann = client(by('leaver'));
    const sub = await joined(ann, 'chat:6');
    await api('unsubscribe', { user: 'leaver', channel: 'chat:6' });
    await until('the unsubscribe', () => sub.state === 'unsubscribed');
    await api('disconnect', { user: 'leaver', disconnect: { code: 4500, reason: 'bye' } });
    const end = await until('the end', () => ann.seen.find((ctx) => ctx.event === 'disconnected'));
    same('close', [end.code, end.reason], [4500, 'bye']);
    await closed(ann);
  },

  async 'a token that is not refreshed ends its connection'() {
    same('code', await Promise.race([outlived, sleep(60000)]), 3005);
  },

  async 'a slow member is closed, others lose nothing'() {
    const sockets = [];
    class Kept extends WebSocket {
      constructor(...args) {
        super(...args);
        sockets.push(this);
      }
    }
    const slow = client({ ...by('slow'), websocket: Kept }, URL_DIRECT);
    const well = client(by('well'), URL_DIRECT);
    await joined(slow, 'firehose:1');
    const sub = await joined(well, 'firehose:1');
    sockets[0].pause();
    const n = Number(FLOOD);
    const text = 'x'.repeat(60000);
    for (let k = 1; k <= n; k += 1) await api('publish', { channel: 'firehose:1', data: { n: k, text } });
    sockets[0].resume();
    const left = await until('the close', () => slow.seen.filter((ctx) => ctx.event === 'connecting')[1]);
    same('close', left.code, 3008);
    await until('every publication at the other member', () => sub.got.length >= n);
    same('numbers', numbers(sub), range(1, n));
    await closed(slow, well);
  },

  async 'not recovered after the server is restarted'() {
    const ann = client(by('ann'));
    const sub = await joined(ann, 'chat:5');
    await publish('chat:5', 1, 3);
    await until('the first three', () => sub.got.length === 3);
    const before = sub.seen.find((ctx) => ctx.event === 'subscribed').streamPosition.epoch;
    await rig('restart');
    const again = await until('subscribed again', () => sub.seen.filter((ctx) => ctx.event === 'subscribed')[1]);
    same('recovered', [again.wasRecovering, again.recovered], [true, false]);
    if (again.streamPosition.epoch === before) throw new Error('the epoch is the old one');
    const left = ann.seen.filter((ctx) => ctx.event === 'connecting')[1];
    same('close of a server that ends', left.code, 3001);
    await publish('chat:5', 4, 6);
    await until('what follows', () => sub.got.length >= 6);
    same('numbers', numbers(sub), range(1, 6));
    await closed(ann);
  },
});
