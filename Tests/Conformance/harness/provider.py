"""A provider of card payments, as a process of its own: takes a resident who was sent to its page, and tells the city in ways that real ones do on bad days.

    provider.py PORT CITY NAME SECRET

GET /checkout?…&signature=…   checks that the city signed the address (403 otherwise) and shows a page
POST /pay {"payment", …}      sends the events below and answers with what the city said to each
"""
import hashlib
import hmac
import http.server
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

PORT, CITY, NAME, SECRET = int(sys.argv[1]), sys.argv[2], sys.argv[3], bytes.fromhex(sys.argv[4])


def mac(message, secret=SECRET):
    return hmac.new(secret, message, hashlib.sha256).hexdigest()


def tell(event, at=None, secret=SECRET):
    """The city's status and answer to one event."""
    body = json.dumps(event).encode()
    at = int(time.time()) if at is None else at
    request = urllib.request.Request(f"{CITY}/api/v1/payment-providers/{NAME}/events", body, {
        "Content-Type": "application/json", "Stoa-Signature": f"t={at},v1={mac(f'{at}.'.encode() + body, secret)}"})
    try:
        with urllib.request.urlopen(request) as answer:
            return [answer.status, json.load(answer)]
    except urllib.error.HTTPError as refusal:
        return [refusal.code, json.load(refusal)]


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        query, _, signature = urllib.parse.urlsplit(self.path).query.rpartition("&signature=")
        if not hmac.compare_digest(mac(query.encode()), signature):
            return self.answer(403, {"error": "not signed by the city"})
        self.answer(200, dict(urllib.parse.parse_qsl(query)))

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        about = {"payment": asked["payment"], "currency": asked["currency"], "amount": int(asked["amount"])}
        settled = {"id": str(uuid.uuid4()), "type": "settled", **about}
        self.answer(200, {
            "forged": tell(settled, secret=bytes(32)), "recorded": tell(settled, at=int(time.time()) - 3600),
            "wrong amount": tell({**settled, "id": str(uuid.uuid4()), "amount": about["amount"] - 1}),
            "refund before": tell({**settled, "id": str(uuid.uuid4()), "type": "refunded", "amount": 100}),
            "settled": tell(settled), "duplicate": tell(settled), "other body": tell({**settled, "type": "failed"}),
            "late": tell({**settled, "id": str(uuid.uuid4()), "type": "pending"}), "too late": tell({**settled, "id": str(uuid.uuid4()), "type": "failed"}),
        })

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *arguments):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Page).serve_forever()
