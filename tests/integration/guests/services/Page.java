// SPDX-License-Identifier: BSD-3-Clause
// A server on the port of the command line, of all addresses and both IP versions.
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;

class Page {
	public static void main(String[] args) throws Exception {
		var server = HttpServer.create(new InetSocketAddress(Integer.parseInt(args[0])), 0);

		server.createContext("/", exchange -> {
			byte[] page = "the page of java".getBytes();

			exchange.sendResponseHeaders(200, page.length);
			exchange.getResponseBody().write(page);
			exchange.close();
		});
		server.start();
	}
}
