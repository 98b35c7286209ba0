// A TLS client of Node: reads "id TAB address TAB port TAB name TAB milliseconds" lines, prints "id TAB ok" or "id TAB error".

import { readFileSync } from "node:fs";
import net from "node:net";
import tls from "node:tls";

const ca = readFileSync(process.argv[2]);

// As findings write it: the code, and the library's words without its addresses, functions and files.
function words(error) {
  const found = /(?:SSL|asn1 encoding) routines:[^:]*:[^:]*/.exec(error.message);
  const alert = /:SSL alert number \d+/.exec(error.message);
  const said = found ? found[0].replace(/routines:[^:]*:/, "routines::") + (alert ? alert[0] : "") : error.message;
  return `${error.code ? `${error.code}: ` : ""}${said}`.replaceAll(/\s+/g, " ").trim();
}

function ask(address, port, name, patience) {
  return new Promise((resolve) => {
    const options = { host: address, port, ca };
    if (!net.isIP(name)) options.servername = name;
    const socket = tls.connect(options);
    const end = (said) => {
      resolve(said);
      socket.destroy();
    };
    const timer = setTimeout(() => end("timed out"), patience);
    timer.unref();
    // A scripted server ends with this alert where a client that accepted what it saw would go on.
    socket.on("error", (error) => end(error.message.includes("alert access denied") ? "ok" : words(error)));
    socket.on("secureConnect", () => socket.write(`GET / HTTP/1.1\r\nHost: ${name}\r\nConnection: close\r\n\r\n`));
    socket.on("data", () => end("ok"));
    // In TLS 1.3 a server that refuses says so after the handshake; one that says nothing more has accepted.
    socket.on("end", () => end(socket.authorized ? "ok" : "ended"));
  });
}

const questions = readFileSync(0, "utf8").split("\n").filter(Boolean).map((line) => line.split("\t"));
for (let first = 0; first < questions.length; first += 8) {
  await Promise.all(
    questions.slice(first, first + 8).map(async ([id, address, port, name, patience]) => {
      console.log(`${id}\t${await ask(address, Number(port), name, Number(patience))}`);
    }),
  );
}
process.exit(0);
