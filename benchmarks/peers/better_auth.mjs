// better-auth's phone-number plugin, through auth.api: send, then verify, with nothing sent. Speaks the lines of lanes.py.

import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import readline from "node:readline";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { phoneNumber } from "better-auth/plugins";
import Database from "better-sqlite3";
import pg from "pg";

const place = fs.mkdtempSync(path.join(os.tmpdir(), "otpcore-bench-node-"));
process.on("exit", () => fs.rmSync(place, { recursive: true, force: true }));

const sent = new Map();

function options(database) {
  const sendOTP = ({ phoneNumber, code }) => void sent.set(phoneNumber, code);
  return {
    database,
    baseURL: "http://127.0.0.1:1",
    secret: "0123456789abcdef0123456789abcdef",
    rateLimit: { enabled: false },
    telemetry: { enabled: false },
    logger: { disabled: true },
    plugins: [phoneNumber({ sendOTP, expiresIn: 300, allowedAttempts: 5 })],
  };
}

async function onSqlite(parameters) {
  const database = new Database(path.join(place, `${process.hrtime.bigint()}.sqlite3`));
  database.pragma("journal_mode = WAL");
  database.pragma("synchronous = NORMAL");
  const measured = await migrated(options(database), parameters);
  database.close();
  return measured;
}

async function onPostgres(parameters) {
  const url = new URL(parameters.database.replace("@/", "@localhost/")); // a server behind a socket has no host
  const pool = new pg.Pool({
    host: url.searchParams.get("host") ?? url.hostname,
    port: Number(url.port || 5432),
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    database: url.pathname.slice(1),
    max: 8, // as many as otpcore has
  });
  const measured = await migrated(options(pool), parameters);
  await pool.end();
  return measured;
}

async function migrated(configured, parameters) {
  await (await getMigrations(configured)).runMigrations();
  return steady(betterAuth(configured), parameters);
}

async function steady(auth, { in_flight: inFlight, warm_up: warmUp, seconds }) {
  let number = 0;
  // The plugin's own way to check a code without making a user or a session, which is the least that it does.
  const trip = async () => {
    const phone = `+35987${String((++number * 6180339) % 1e7).padStart(7, "0")}`;
    await auth.api.sendPhoneNumberOTP({ body: { phoneNumber: phone } });
    const answer = await auth.api.consumePhoneNumberOTP({ body: { phoneNumber: phone, code: sent.get(phone) } });
    sent.delete(phone);
    if (!answer.status) throw new Error("a right code was refused");
  };
  let times = [];
  const callers = (until) =>
    Promise.all(
      Array.from({ length: inFlight }, async () => {
        while (performance.now() < until) {
          const start = performance.now();
          await trip();
          times.push(performance.now() - start);
        }
      }),
    );
  globalThis.gc?.();
  await callers(performance.now() + warmUp * 1e3);
  times = [];
  const cpu = process.cpuUsage();
  const began = performance.now();
  await callers(began + seconds * 1e3);
  const wall = (performance.now() - began) / 1e3;
  const used = process.cpuUsage(cpu);
  times.sort((a, b) => a - b);
  return {
    operations: times.length,
    rate: times.length / wall,
    cpu: (used.user + used.system) / times.length,
    p50: times[Math.floor(times.length / 2)] * 1e3,
    p99: times[Math.min(Math.floor(times.length * 0.99), times.length - 1)] * 1e3,
    errors: 0,
  };
}

const measures = { sqlite: onSqlite, postgres: onPostgres };
for await (const line of readline.createInterface({ input: process.stdin })) {
  const { measure, parameters } = JSON.parse(line);
  let answer;
  try {
    answer = await measures[measure](parameters);
  } catch (error) {
    answer = { failed: String(error).slice(0, 500) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
