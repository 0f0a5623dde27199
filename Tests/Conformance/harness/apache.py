"""Debian's Apache with mod_auth_openidc, unmodified, as a service that residents sign in at: one page that only they see."""
import json
import os
import pathlib
import signal
import subprocess
import tempfile

import requests
from joserfc.jwk import RSAKey

from harness.server import free_port, until

MODULES = pathlib.Path("/usr/lib/apache2/modules")

CONFIGURATION = """
ServerRoot {folder}
PidFile {folder}/pid
ServerName 127.0.0.1
Listen 127.0.0.1:{port}
ErrorLog {folder}/error.log
LogLevel warn auth_openidc:info
{user}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authn_core_module {modules}/mod_authn_core.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule authz_user_module {modules}/mod_authz_user.so
LoadModule auth_openidc_module {modules}/mod_auth_openidc.so
DocumentRoot {folder}/pages
OIDCProviderMetadataURL {issuer}/.well-known/openid-configuration
OIDCClientID {client_id}
# The key first: without one the module does not know the method.
OIDCPrivateKeyFiles apache#{folder}/key.pem
OIDCProviderTokenEndpointAuth private_key_jwt
OIDCPKCEMethod S256
OIDCScope "openid profile"
OIDCRedirectURI http://127.0.0.1:{port}/secure/signed-in
OIDCCryptoPassphrase "only for this run"
OIDCRemoteUserClaim sub
<Location /secure>
    AuthType openid-connect
    Require valid-user
</Location>
"""


class Apache:
    """`with Apache(server) as apache:` serves `apache.page`; entered as a service of the clinic beforehand."""

    def __init__(self, server, client_id="clinic-apache"):
        self.folder, self.port, self.client_id = pathlib.Path(tempfile.mkdtemp(prefix="stoa-apache-")), free_port(), client_id
        self.folder.chmod(0o755)
        self.page = f"http://127.0.0.1:{self.port}/secure/inside.html"
        key = RSAKey.generate_key(2048)
        (self.folder / "key.pem").write_bytes(key.as_pem(private=True))
        public = self.folder / "public.json"
        public.write_text(json.dumps({**key.as_dict(private=False), "kid": "apache"}))
        (self.folder / "pages" / "secure").mkdir(parents=True)
        (self.folder / "pages" / "secure" / "inside.html").write_text("<!DOCTYPE html><title>Inside</title><p>Only residents who signed in read this.")
        server.run("organisation", "add-service", "--id", "harbour-clinic", "--service", client_id, "--name", "Apache", "--purpose", "treatment",
                   "--public-key", public, "--scope", "openid", "--scope", "profile", "--id-token-algorithm", "RS256",
                   "--redirect-uri", "http://127.0.0.1/secure/signed-in", "--post-logout-uri", "http://127.0.0.1/out.html",
                   "--logout-uri", f"http://127.0.0.1:{self.port}/secure/signed-in?logout=backchannel")
        user = "User www-data\nGroup www-data" if os.getuid() == 0 else ""
        (self.folder / "apache.conf").write_text(CONFIGURATION.format(
            folder=self.folder, port=self.port, modules=MODULES, issuer=server.base_url, client_id=client_id, user=user))

    def __enter__(self):
        self.process = subprocess.Popen(["/usr/sbin/apache2", "-f", self.folder / "apache.conf", "-D", "FOREGROUND"], stdin=subprocess.DEVNULL)
        until(self.answers, 30, f"an Apache that answers:\n{self.log()}")
        return self

    def answers(self):
        assert self.process.poll() is None, f"Apache ended with {self.process.returncode}:\n{self.log()}"
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/", timeout=5).status_code
        except requests.RequestException:
            return None

    def log(self):
        log = self.folder / "error.log"
        return log.read_text(errors="replace")[-4000:] if log.exists() else ""

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
