# SPDX-License-Identifier: BSD-3-Clause
"""A WSGI application."""


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"the page of python"]
