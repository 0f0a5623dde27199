"""Messages that leave the city: through a mail relay that is not ours (aiosmtpd, STARTTLS with an authority of its own, AUTH), through a gateway for short messages,
and, where neither is configured, as files that nobody else can read. What is in them is what a resident types to prove an address."""
import datetime
import email
import email.policy
import http.server
import ipaddress
import json
import re
import ssl
import threading
import uuid

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from harness.pages import Page, Visitor
from harness.server import StoaServer, free_port, until

DELIVERY_SECONDS_MAX = 60  # the loop looks every second; on a busy machine it waits
PASSWORD = "four plain words here"
RELAY_USER, RELAY_PASSWORD = "stoa", "a password of the relay"
CODE = re.compile(r"\d{4} \d{4}")


def certificate(folder):
    """A key and a certificate for this machine that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256()))
    (folder / "relay.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "relay.key").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return folder / "relay.pem", folder / "relay.key"


class Relay:
    """Takes what is handed over under TLS by somebody with the password; the first message of each receiver whose name begins with "slow" is greylisted."""

    def __init__(self):
        self.messages, self.greylisted = [], set()

    async def handle_RCPT(self, server, session, envelope, address, options):
        if not session.authenticated or session.ssl is None:
            return "530 not like this"
        if address.startswith("nobody"):
            return "550 nobody here"
        if address.startswith("slow") and address not in self.greylisted:
            self.greylisted.add(address)
            return "451 come again"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.messages.append((envelope.mail_from, envelope.rcpt_tos, email.message_from_bytes(envelope.content, policy=email.policy.default)))
        return "250 taken"

    def to(self, address):
        return [message for _, receivers, message in self.messages if receivers == [address]]


class Gateway(http.server.BaseHTTPRequestHandler):
    posts = []

    def do_POST(self):
        self.posts.append((dict(self.headers.items()), json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
        self.send_response(202)
        self.end_headers()

    def log_message(self, *arguments):
        pass


def authenticate(server, session, envelope, mechanism, data):
    return AuthResult(success=mechanism == "PLAIN" and (data.login, data.password) == (RELAY_USER.encode(), RELAY_PASSWORD.encode()), handled=False)


@pytest.fixture(scope="module")
def relay(tmp_path_factory):
    chain, key = certificate(tmp_path_factory.mktemp("relay"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain, key)
    relay = Relay()
    controller = Controller(relay, hostname="127.0.0.1", port=free_port(), tls_context=context, require_starttls=True, auth_required=True,
                            authenticator=authenticate)
    controller.start()
    yield relay, controller.port, chain
    controller.stop()


@pytest.fixture(scope="module")
def gateway():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/messages"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def city(relay, gateway):
    """A server whose messages really leave."""
    server = StoaServer()
    server.environment.update({
        "STOA_DELIVERY_SMTP_HOST": "localhost", "STOA_DELIVERY_SMTP_PORT": str(relay[1]), "STOA_DELIVERY_SMTP_AUTHORITY_FILE": str(relay[2]),
        "STOA_DELIVERY_SMTP_USER": RELAY_USER, "STOA_DELIVERY_SMTP_PASSWORD": RELAY_PASSWORD, "STOA_DELIVERY_EMAIL_FROM": "no-reply@stoa.example",
        "STOA_DELIVERY_SMS_WEBHOOK": gateway, "STOA_DELIVERY_SMS_TOKEN": "the gateway's token", "STOA_CITY_NAME": "Cité d’Été",
    })
    try:
        yield server.start()
        assert server.stop() == 0, server.log()[-4000:]
    finally:
        server.end()


def register(base_url, language="en", **names):
    """Makes an account; returns the visitor and the page that asks for the code."""
    visitor = Visitor(base_url, language)
    page = visitor.page("/register")
    form = next(f for f in page.forms if f.action == "/register")
    answer = visitor.send(form, visitor.base_url + "/register", {**names, "password": PASSWORD})
    assert answer.status_code == 200 and "/contact/addresses/" in answer.url, f"{answer.url}: {answer.status_code}"
    return visitor, answer


def type_code(visitor, answer, code):
    form = next(f for f in Page(answer.text).forms if f.action.endswith("/code"))
    return visitor.send(form, answer.url, {"code": code})


def text_of(message):
    return message.get_body().get_content()


def test_an_address_is_proven_through_a_real_relay(city, relay):
    relay = relay[0]
    for language in ("en", "fr", "ar"):
        address = f"amina.{language}.{uuid.uuid4().hex[:8]}@example.org"
        visitor, answer = register(city.base_url, language, email=address)
        until(lambda: relay.to(address), DELIVERY_SECONDS_MAX, f"the e-mail in {language}")
        message, = relay.to(address)
        assert message["To"] == f"<{address}>" or message["To"] == address
        assert message["From"].addresses[0].addr_spec == "no-reply@stoa.example" and message["From"].addresses[0].display_name == "Cité d’Été"
        assert "Cité d’Été" in message["Subject"] and message["Content-Language"] == language and message["Auto-Submitted"] == "auto-generated"
        assert city.base_url in text_of(message) and "http" not in text_of(message).replace(city.base_url, "")
        assert Visitor(city.base_url).sign_in(address, PASSWORD).status_code == 422, "not proven, it signs nobody in"
        proven = type_code(visitor, answer, CODE.search(text_of(message)).group())
        assert proven.status_code == 200 and proven.url.endswith("/contact")
        assert "sign-in" not in Visitor(city.base_url).sign_in(address, PASSWORD).url


def test_a_greylisted_message_comes_later_and_a_refused_one_never(city, relay):
    relay = relay[0]
    slow, nobody = (f"{name}.{uuid.uuid4().hex[:8]}@example.org" for name in ("slow", "nobody"))
    for address in (slow, nobody):
        register(city.base_url, email=address)

    def outcomes():
        with city.connect("owner") as connection:
            return {row[0] for row in connection.execute("SELECT outcome FROM delivery.outgoing WHERE outcome LIKE 'status 4%' OR outcome LIKE 'status 5%'")}
    until(lambda: outcomes() == {"status 451", "status 550"}, DELIVERY_SECONDS_MAX, "what the relay said")
    # The owner makes the second attempt due now instead of in a minute.
    with city.connect("owner") as connection:
        connection.execute("UPDATE delivery.outgoing SET next_at = now() WHERE NOT is_done")
    until(lambda: relay.to(slow), DELIVERY_SECONDS_MAX, "the greylisted message")
    assert not relay.to(nobody)
    with city.connect("owner") as connection:
        left = connection.execute("SELECT count(*) FROM delivery.outgoing WHERE sealed_recipient IS NOT NULL").fetchone()[0]
        assert left == 0, "what is done says no more where it went"


def test_a_phone_is_proven_through_the_gateway(city):
    number = f"+2547{uuid.uuid4().int % 10**8:08}"
    visitor, answer = register(city.base_url, phone=number)
    until(lambda: any(body["to"] == number for _, body in Gateway.posts), DELIVERY_SECONDS_MAX, "the short message")
    headers, body = next(post for post in Gateway.posts if post[1]["to"] == number)
    assert headers["authorization"] == "Bearer the gateway's token" and headers["idempotency-key"] == body["id"]
    assert body["text"].startswith("Cité d'Été: ") and len(body["text"]) <= 160, "in the alphabet of phones"
    assert type_code(visitor, answer, CODE.search(body["text"]).group()).url.endswith("/contact")
    assert "sign-in" not in Visitor(city.base_url).sign_in(number, PASSWORD).url


def test_without_a_relay_messages_are_files_of_the_server_alone(server, base_url):
    address = f"files.{uuid.uuid4().hex[:8]}@example.org"
    # Whatever host a request names, a message names the site.
    visitor = Visitor(base_url)
    visitor.session.headers["X-Forwarded-Host"] = "evil.example"
    form = next(f for f in visitor.page("/register").forms if f.action == "/register")
    answer = visitor.send(form, base_url + "/register", {"email": address, "password": PASSWORD})
    folder = server.data / "outgoing"

    def written():
        return [path for path in (folder.glob("*.eml") if folder.exists() else []) if address in path.read_text()]
    path, = until(written, DELIVERY_SECONDS_MAX, "the file")
    assert path.stat().st_mode & 0o777 == 0o600 and folder.stat().st_mode & 0o777 == 0o700
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert "evil.example" not in text_of(message) and base_url in text_of(message)
    assert type_code(visitor, answer, CODE.search(text_of(message)).group()).url.endswith("/contact")
