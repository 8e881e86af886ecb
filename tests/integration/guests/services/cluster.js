// SPDX-License-Identifier: BSD-3-Clause
// A server of two workers on 127.0.0.1 and the port of the command line. SIGHUP: new workers take
// the place of the old ones.
const cluster = require("cluster");
const http = require("http");

if (cluster.isPrimary) {
	const start = () => [cluster.fork(), cluster.fork()];
	let workers = start();

	process.on("SIGHUP", () => {
		const old = workers;
		let left = old.length;

		workers = start();
		for (const worker of old)
			worker.on("exit", () => --left || console.log("reloaded"));
		workers[0].once("listening", () => old.forEach((worker) => worker.disconnect()));
	});
	process.on("SIGTERM", () => cluster.disconnect(() => process.exit(0)));
} else {
	process.on("SIGTERM", () => {}); // the primary ends it
	http.createServer((request, response) => response.end("the page of node"))
		.listen(Number(process.argv[2]), "127.0.0.1");
}
