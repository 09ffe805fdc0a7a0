// The room console: a small client of the Centrifugo v2 JSON protocol.
"use strict";
(() => {
  const LINES = 500;
  const [host, port] = (() => {
    const listen = document.querySelector("meta[name=plimsoll-listen]").content;
    const colon = listen.lastIndexOf(":");
    const host = listen.slice(0, colon);
    // Where it listens on every address, the one that this page came from will do.
    return [host === "0.0.0.0" || host === "[::]" ? location.hostname : host, listen.slice(colon + 1)];
  })();
  at("server").value = `ws://${host}:${port}/connection/websocket`;

  let socket, room, next, asked;
  function tell(text, kind = "") {
    const line = make("li", undefined, kind ? { class: kind } : {});
    line.append(make("time", new Date().toLocaleTimeString()), text);
    const log = at("log");
    const follows = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    log.append(line);
    while (log.childElementCount > LINES) log.firstChild.remove();
    if (follows) log.scrollTop = log.scrollHeight;
  }
  function may(talk) {
    at("text").disabled = at("send").disabled = !talk;
    at("joined").textContent = socket ? "Leave" : "Join";
    for (const id of ["server", "token", "room"]) at(id).disabled = Boolean(socket);
    if (talk) at("text").focus();
  }
  function ask(command, then) {
    next += 1;
    asked.set(next, then);
    socket.send(JSON.stringify({ id: next, ...command }));
  }
  const words = data => typeof data === "string" ? data : typeof data?.text === "string" ? data.text : JSON.stringify(data);
  const who = info => info?.user || info?.client?.slice(0, 8) || "somebody";

  function pushed({ pub, join, leave, unsubscribe, disconnect }) {
    if (pub) tell(`${who(pub.info)}: ${words(pub.data)}`);
    else if (join) tell(`${who(join.info)} joins`, "event");
    else if (leave) tell(`${who(leave.info)} leaves`, "event");
    else if (unsubscribe) tell(`taken out of the room: ${unsubscribe.reason} (${unsubscribe.code})`, "fault");
    else if (disconnect) tell(`the server ends it: ${disconnect.reason} (${disconnect.code})`, "fault");
  }
  function heard(line, pong) {
    if (line === "{}") return pong && socket.send("{}");
    const reply = JSON.parse(line);
    if (reply.push) return pushed(reply.push);
    const then = asked.get(reply.id);
    asked.delete(reply.id);
    if (reply.error) tell(`${reply.error.message} (${reply.error.code})`, "fault");
    else then?.(reply);
  }
  function join() {
    try { socket = new WebSocket(at("server").value); } catch (error) { return tell(error.message, "fault"); }
    [next, asked, room] = [0, new Map(), at("room").value];
    const mine = socket;
    let pong = false;
    may(false);
    mine.onopen = () => {
      const token = at("token").value;
      ask({ connect: { name: "console", ...(token ? { token } : {}) } }, ({ connect }) => {
        pong = Boolean(connect.pong);
        ask({ subscribe: { channel: room } }, ({ subscribe }) => {
          tell(`in ${room}`, "event");
          for (const pub of subscribe.publications ?? []) pushed({ pub });
          may(true);
        });
      });
    };
    mine.onmessage = event => {
      for (const line of event.data.split("\n")) if (line) heard(line, pong);
    };
    mine.onclose = event => {
      if (mine !== socket) return;
      socket = undefined;
      tell(event.code === 1006 ? "no connection: is the address right, and this page's origin allowed?" : `closed ${event.code} ${event.reason}`, event.code === 1000 ? "event" : "fault");
      may(false);
    };
  }
  at("join").addEventListener("submit", event => {
    event.preventDefault();
    if (socket) socket.close(1000); else join();
  });
  at("say").addEventListener("submit", event => {
    event.preventDefault();
    const text = at("text").value.trim();
    if (!text) return;
    ask({ publish: { channel: room, data: { text } } });
    at("text").value = "";
  });
})();
