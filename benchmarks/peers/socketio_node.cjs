// npm socket.io: `emit` to a room, WebSocket transport. Arguments and output as in publishing.py.
"use strict";

const http = require("node:http");
const { performance } = require("node:perf_hooks");
const { Server } = require("socket.io");

const [ROOMS, RATE, TOGETHER] = process.argv.slice(2).map(Number);
const SLOTS = TOGETHER ? 1 : 10;
const NOTE = "0".repeat(80);

const web = http.createServer();
const io = new Server(web, { transports: ["websocket"], serveClient: false });
io.on("connection", (socket) => socket.join(socket.handshake.query.rooms.split(",")));

const numbers = new Array(ROOMS).fill(0);
const now = () => performance.timeOrigin + performance.now(); // milliseconds
let slot = 0;
let next;

function publish() {
  for (let room = slot; room < ROOMS; room += SLOTS) {
    numbers[room] += 1;
    const done = Math.round(now() * 1e6);
    io.to(String(room)).emit("update", { type: "update", sub: room, done, total: numbers[room], note: NOTE });
  }
  slot = (slot + 1) % SLOTS;
  next += 1000 / RATE / SLOTS;
  if (now() > next + 1000 / RATE) next = now();
  setTimeout(publish, next - now());
}

process.on("SIGUSR2", () => {
  next = now();
  publish();
});
web.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => {
  console.log(`${web.address().port} ${process.pid}`);
});
