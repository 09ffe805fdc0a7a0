#!/usr/bin/env python3
"""centrifuge-python as it comes from PyPI: the same questions as library.mjs asks."""
import asyncio
import base64
import hashlib
import hmac
import json
import os
import sys
import time
import urllib.request

from centrifuge import (
    Client, ClientEventHandler, ReplyError, SubscriptionEventHandler, UnauthorizedError)

ENV = os.environ
CHECKS = []


def check(name):
    return lambda function: CHECKS.append((name, function)) or function


def encode(value):
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def token(ttl=600, secret=None, **claims):
    payload = {"exp": int(time.time()) + ttl, **claims}
    message = encode({"alg": "HS256", "typ": "JWT"}) + "." + encode(payload)
    key = (secret or ENV["SECRET"]).encode()
    return message + "." + encode(hmac.new(key, message.encode(), hashlib.sha256).digest())


def post(url, headers, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="POST")
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read()


def api_now(method, **body):
    headers = {"X-API-Key": ENV["API_KEY"], "Content-Type": "application/json"}
    answer = json.loads(post(f"{ENV['API']}/{method}", headers, body))
    if "error" in answer:
        raise RuntimeError(f"{method}: {answer['error']}")
    return answer["result"]


async def api(method, **body):
    return await asyncio.to_thread(api_now, method, **body)


async def rig(what):
    await asyncio.to_thread(post, f"{ENV['RIG']}/{what}", {}, {})


async def until(what, test, seconds=15):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := test():
            return value
        await asyncio.sleep(0.01)
    raise AssertionError(f"not in time: {what}")


def same(what, found, expected):
    assert found == expected, f"{what}: {found!r}, not {expected!r}"


class Seen(ClientEventHandler):
    """Remembers what happened to a client."""

    def __init__(self):
        self.connects, self.leaves, self.ends = [], [], []

    async def on_connecting(self, ctx):
        self.leaves.append(ctx)

    async def on_connected(self, ctx):
        self.connects.append(ctx)

    async def on_disconnected(self, ctx):
        self.ends.append(ctx)


class Got(SubscriptionEventHandler):
    """Remembers what happened to a subscription."""

    def __init__(self):
        self.subscribes, self.publications, self.joins, self.leaves, self.ends = [], [], [], [], []

    async def on_subscribed(self, ctx):
        self.subscribes.append(ctx)

    async def on_unsubscribed(self, ctx):
        self.ends.append(ctx)

    async def on_publication(self, ctx):
        self.publications.append(ctx.pub)

    async def on_join(self, ctx):
        self.joins.append(ctx.info.user)

    async def on_leave(self, ctx):
        self.leaves.append(ctx.info.user)

    def numbers(self):
        return [publication.data["n"] for publication in self.publications]


def client(given="", url=None, **options):
    return Client(url or ENV["URL_PROXIED"], events=Seen(), token=given, min_reconnect_delay=0.05,
                  max_reconnect_delay=0.3, **options)


async def connected(given, **options):
    made = client(given, **options)
    await made.connect()
    await made.ready(15)
    return made


async def joined(of, channel, got=None, **options):
    sub = of.new_subscription(channel, events=got or Got(), **options)
    await sub.subscribe()
    await sub.ready(15)
    return sub


async def publish(channel, first, last):
    for n in range(first, last + 1):
        await api("publish", channel=channel, data={"n": n})


@check("connect")
async def _():
    one = await connected(token(sub="ann"))
    assert one.events.connects[0].client, "no client id"
    await one.disconnect()


@check("subscribe, publish, receive")
async def _():
    ann, bob = await connected(token(sub="ann")), await connected(token(sub="bob"))
    hers, his = await joined(ann, "chat:p1"), await joined(bob, "chat:p1")
    text = 'é "quoted" \\ \n \U0001f600'
    await hers.publish({"n": 1, "text": text})
    await api("publish", channel="chat:p1", data={"n": 2, "text": text})
    for sub in (hers, his):
        got = sub.events
        await until("both publications", lambda: len(got.publications) == 2)
        same("numbers", got.numbers(), [1, 2])
        same("text", got.publications[0].data["text"], text)
        same("publisher", got.publications[0].info.user, "ann")
        same("publisher of the API", got.publications[1].info, None)
    await ann.disconnect()
    await bob.disconnect()


@check("presence, join and leave")
async def _():
    ann = await connected(token(sub="ann", info={"name": "Ann"}))
    bob = await connected(token(sub="bob"))
    hers, his = await joined(ann, "chat:p2"), await joined(bob, "chat:p2")
    await until("bob's join", lambda: "bob" in hers.events.joins)
    clients = (await his.presence()).clients
    same("users", sorted(one.user for one in clients.values()), ["ann", "bob"])
    same("info", [c.conn_info for c in clients.values() if c.user == "ann"], [{"name": "Ann"}])
    stats = await his.presence_stats()
    same("stats", (stats.num_clients, stats.num_users), (2, 2))
    await his.unsubscribe()
    await until("bob's leave", lambda: "bob" in hers.events.leaves)
    await ann.disconnect()
    await bob.disconnect()


@check("history")
async def _():
    ann = await connected(token(sub="ann"))
    sub = await joined(ann, "chat:p3")
    await publish("chat:p3", 1, 5)
    same("all", [p.data["n"] for p in (await sub.history(limit=-1)).publications], [1, 2, 3, 4, 5])
    back = await sub.history(limit=2, reverse=True)
    same("backwards", [p.data["n"] for p in back.publications], [5, 4])
    none = await sub.history()
    same("position only", (none.publications, none.offset), ([], back.offset))
    await ann.disconnect()


@check("recovered after the socket is cut")
async def _():
    ann = await connected(token(sub="ann"))
    got = (await joined(ann, "chat:p4")).events
    await publish("chat:p4", 1, 5)
    await until("the first five", lambda: len(got.publications) == 5)
    await rig("cut")
    await until("the cut to be noticed", lambda: len(ann.events.leaves) > 1)
    await publish("chat:p4", 6, 15)
    await rig("mend")
    await until("subscribed again", lambda: len(got.subscribes) > 1)
    await publish("chat:p4", 16, 20)
    await until("all", lambda: len(got.publications) >= 20)
    await asyncio.sleep(0.2)
    again = got.subscribes[-1]
    same("recovered", (again.was_recovering, again.recovered), (True, True))
    same("numbers", got.numbers(), list(range(1, 21)))
    await ann.disconnect()


@check("a token is refreshed")
async def _():
    asked = []

    async def get_token(*_):
        asked.append(1)
        return token(sub="ann", ttl=2)

    ann = await connected("", get_token=get_token)
    await until("three refreshes", lambda: len(asked) >= 4, 30)
    same("connections", len(ann.events.connects), 1)
    await ann.disconnect()


@check("a wrong token ends it")
async def _():
    eve = client(token(sub="eve", secret="another secret"))
    await eve.connect()
    await until("the end", lambda: eve.events.ends)
    same("code", eve.events.ends[0].code, 3500)


@check("an unauthorised room")
async def _():
    ann = await connected(token(sub="ann"))
    sub = ann.new_subscription("closed:p1", events=Got())
    await sub.subscribe()
    await until("the end", lambda: sub.events.ends)
    same("code", sub.events.ends[0].code, 103)

    async def get_token(channel, *_):
        return token(sub="ann", channel=channel)

    private = await joined(ann, "closed:p2", get_token=get_token)
    try:
        await private.publish({"n": 1})
        raise AssertionError("it could publish")
    except ReplyError as error:
        same("code of publish", error.code, 103)
    await ann.disconnect()


class Blocking(Got):
    """Keeps the library from reading, by what no library can bear: a handler that blocks."""

    def __init__(self):
        super().__init__()
        self.flooded = False

    async def on_publication(self, ctx):
        await super().on_publication(ctx)
        if not self.flooded:
            self.flooded = True
            text = "x" * 60000
            for n in range(1, int(ENV["FLOOD"]) + 1):
                api_now("publish", channel="firehose:p1", data={"n": n, "text": text})


@check("a slow member is closed")
async def _():
    slow = await connected(token(sub="slow"), url=ENV["URL_DIRECT"])
    got = Blocking()
    await joined(slow, "firehose:p1", got)
    await api("publish", channel="firehose:p1", data={"n": 0})
    await until("the close", lambda: len(slow.events.leaves) > 1, 60)
    same("code", slow.events.leaves[1].code, 3008)
    await slow.disconnect()


@check("not recovered after the server is restarted")
async def _():
    ann = await connected(token(sub="ann"))
    got = (await joined(ann, "chat:p5")).events
    await publish("chat:p5", 1, 3)
    await until("the first three", lambda: len(got.publications) == 3)
    await rig("restart")
    await until("subscribed again", lambda: len(got.subscribes) > 1, 30)
    again = got.subscribes[-1]
    same("recovered", (again.was_recovering, again.recovered), (True, False))
    await publish("chat:p5", 4, 6)
    await until("what follows", lambda: len(got.publications) >= 6)
    same("numbers", got.numbers(), list(range(1, 7)))
    await ann.disconnect()


async def main():
    failed = 0
    for name, function in CHECKS:
        try:
            await asyncio.wait_for(function(), 90)
            print(f"ok {name}", flush=True)
        except (Exception, asyncio.TimeoutError) as error:  # Whatever it is, it is told.
            failed += 1
            print(f"not ok {name}: {type(error).__name__} {error}".splitlines()[0], flush=True)
            if ENV.get("VERBOSE"):
                raise
    sys.exit(1 if failed else 0)


asyncio.run(main())
